/** Answers of the hub as figures for charts. Pure; names and words come from outside. */
import type { Bucket } from '../../data/format'
import { unitOf } from '../../data/format'
import type { Bin, KpiSeries, Measure, SeriesAnswer } from '../../data/kpi'
import type { Figure, Kind, Series } from '../../ui/chart/figure'

type Part = 'value' | 'p50' | 'p90' | 'average'

const of = (measure: Measure | null | undefined, part: Part): number | null => measure?.[part] ?? null

export const seriesOf = (answer: SeriesAnswer | undefined, kpi: string): KpiSeries | undefined =>
  answer?.series.find((one) => one.kpi === kpi)

/** Some KPIs over time, each a series. */
export function overTime(
  answer: SeriesAnswer,
  kind: Kind,
  wanted: readonly { kpi: string; part?: Part; name: string }[],
  axis: string,
  bucketName: (at: string, bucket: Bucket) => string,
): Figure {
  const categories = answer.buckets.map((at) => bucketName(at, answer.bucket))
  const series: Series[] = []
  let unit: Figure['unit'] = 'count'
  for (const { kpi, part = 'value', name } of wanted) {
    const one = seriesOf(answer, kpi)
    if (!one) continue
    unit = unitOf(one.unit)
    const points = one.groups[0]?.points ?? []
    series.push({ name, key: kpi, values: categories.map((_, place) => of(points[place], part)) })
  }
  return { kind, unit, axis, categories, series }
}

/** One KPI over time, a series for each group, the largest first. */
export function byGroup(
  answer: SeriesAnswer,
  kpi: string,
  kind: Kind,
  axis: string,
  nameOf: (key: string | null) => string,
  bucketName: (at: string, bucket: Bucket) => string,
): Figure {
  const one = seriesOf(answer, kpi)
  const categories = answer.buckets.map((at) => bucketName(at, answer.bucket))
  return {
    kind,
    unit: unitOf(one?.unit ?? ''),
    axis,
    categories,
    series: (one?.groups ?? []).map((group) => ({
      name: nameOf(group.key),
      key: group.key,
      values: categories.map((_, place) => of(group.points[place], 'value')),
    })),
  }
}

/** The groups of some KPIs side by side, the largest of the first on top. */
export function ranked(
  answer: SeriesAnswer,
  wanted: readonly { kpi: string; name: string }[],
  axis: string,
  nameOf: (key: string | null) => string,
): { figure: Figure; keys: (string | null)[] } {
  const keys: (string | null)[] = []
  for (const { kpi } of wanted) {
    for (const group of seriesOf(answer, kpi)?.groups ?? []) if (!keys.includes(group.key)) keys.push(group.key)
  }
  const value = (kpi: string, key: string | null) =>
    of(seriesOf(answer, kpi)?.groups.find((group) => group.key === key)?.total, 'value')
  const first = wanted[0]?.kpi ?? ''
  keys.sort((a, b) => (value(first, b) ?? 0) - (value(first, a) ?? 0))
  const unit = unitOf(seriesOf(answer, first)?.unit ?? '')
  const series = wanted.map(({ kpi, name }) => ({ name, key: kpi, values: keys.map((key) => value(kpi, key)) }))
  return { figure: { kind: 'rows', unit, axis, categories: keys.map(nameOf), series }, keys }
}

/** How often durations were how long; before that, the same of the time before. */
export function histogram(
  now: readonly Bin[],
  before: readonly Bin[] | undefined,
  words: { axis: string; now: string; before: string; bin: (bin: Bin) => string },
): { figure: Figure; bins: Bin[] } {
  const bins = new Map<number, Bin>()
  for (const bin of [...now, ...(before ?? [])]) if (!bins.has(bin.from)) bins.set(bin.from, bin)
  const all = [...bins.values()].sort((a, b) => a.from - b.from)
  const counts = (list: readonly Bin[]) => all.map((bin) => list.find((one) => one.from === bin.from)?.count ?? 0)
  const series: Series[] = [{ name: words.now, values: counts(now) }]
  if (before) series.push({ name: words.before, values: counts(before), faint: true })
  return {
    figure: { kind: 'histogram', unit: 'count', axis: words.axis, categories: all.map(words.bin), series },
    bins: all,
  }
}

/** Adds the time before, faintly, where one KPI is shown alone. */
export function compared(figure: Figure, answer: SeriesAnswer | undefined, name: string, before: string): Figure {
  const points = seriesOf(answer, name)?.groups[0]?.points
  if (!points) return figure
  const values = figure.categories.map((_, place) => of(points[place], 'value'))
  return { ...figure, series: [...figure.series, { name: before, values, faint: true, key: name }] }
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/** A KPI by weekday and hour in the workspace's time zone: seven rows of 24, Sunday first. */
export function heat(answer: SeriesAnswer, kpi: string, axis: string, names: readonly string[]): Figure {
  const points = seriesOf(answer, kpi)?.groups[0]?.points ?? []
  const form = new Intl.DateTimeFormat('en-US', {
    timeZone: answer.time_zone,
    weekday: 'short',
    hour: '2-digit',
    hourCycle: 'h23',
  })
  const cells = Array.from({ length: 7 }, () => Array<number>(24).fill(0))
  for (const [place, at] of answer.buckets.entries()) {
    const parts = Object.fromEntries(form.formatToParts(Date.parse(at)).map((one) => [one.type, one.value]))
    const row = cells[DAYS.indexOf(parts.weekday ?? '')]
    const hour = Number(parts.hour)
    if (row) row[hour] = (row[hour] ?? 0) + (of(points[place], 'value') ?? 0)
  }
  return {
    kind: 'heatmap',
    unit: 'count',
    axis,
    categories: Array.from({ length: 24 }, (_, hour) => `${String(hour).padStart(2, '0')}:00`),
    series: cells.map((values, place) => ({ name: names[place] ?? '', values })),
  }
}

/** How a total has changed against the time before; nothing if there is nothing to compare with. */
export function change(
  series: KpiSeries | undefined,
  earlier: KpiSeries | undefined,
): { by: number; good: boolean | undefined } | undefined {
  const now = series?.total.value
  const before = earlier?.total.value
  if (now === null || now === undefined || !before) return undefined
  const by = now / before - 1
  const better = series?.better
  const good = by === 0 || !better || better === 'neutral' ? undefined : by > 0 === (better === 'higher')
  return { by, good }
}
