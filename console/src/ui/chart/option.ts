/**
 * Figures as options of ECharts. Pure: colours, words and numbers' forms come from outside.
 *
 * Time runs from left to right in both languages, as in Arabic newspapers; what is listed (rows, legends) begins where the
 * page begins.
 */
import type { EChartsCoreOption } from 'echarts/core'
import { type Figure, type Series, total } from './figure'

export interface Look {
  colors: readonly string[]
  ink: string
  soft: string
  line: string
  panel: string
  /** The ends of a heatmap's scale. */
  cold: string
  hot: string
  good: string
  bad: string
  font: string
  rtl: boolean
  /** Sizes grow by this on a wall. */
  scale: number
  still: boolean
}

export interface Words {
  /** A value with its unit. */
  value: (value: number) => string
  /** A value beside an axis: short. */
  tick: (value: number) => string
}

/** A text that the canvas, which is written from left to right, writes as the page is written. */
const isolated = (text: string, look: Look): string => (look.rtl && text ? `\u2067${text}\u2069` : text)

type Params = {
  name: string
  value: unknown
  seriesName?: string
  marker?: unknown
  seriesIndex?: number
  dataIndex?: number
}

const base = (figure: Figure, look: Look): EChartsCoreOption => ({
  color: [...look.colors],
  animation: !look.still,
  animationDuration: 300,
  animationDurationUpdate: 300,
  textStyle: { fontFamily: look.font, fontSize: 12 * look.scale, color: look.ink },
  aria: { enabled: false },
  legend: {
    show: figure.series.length > 1 && figure.kind !== 'heatmap',
    type: 'scroll',
    top: 0,
    [look.rtl ? 'right' : 'left']: 0,
    itemWidth: 12,
    itemHeight: 8,
    icon: 'roundRect',
    textStyle: { color: look.soft, fontSize: 12 * look.scale },
    pageIconColor: look.soft,
    pageTextStyle: { color: look.soft },
  },
})

const tooltip = (look: Look) => ({
  // Drawn on the canvas: the page's policy lets nobody write HTML.
  renderMode: 'richText',
  confine: true,
  backgroundColor: look.panel,
  borderColor: look.line,
  borderWidth: 1,
  padding: [6, 10],
  textStyle: { color: look.ink, fontSize: 12 * look.scale, fontFamily: look.font },
})

const text = (look: Look) => ({ color: look.soft, fontSize: 11 * look.scale })

function lines(figure: Figure, look: Look, words: Words) {
  return (params: Params | Params[]): string => {
    const all = Array.isArray(params) ? params : [params]
    const head = all[0]?.name ?? ''
    const shown = all.filter((one) => typeof one.value === 'number')
    const each = shown.map((one) => `${one.seriesName}: ${words.value(one.value as number)}`)
    if (figure.kind === 'stacked' && shown.length > 1) {
      each.push(`Σ ${words.value(total(shown.map((one) => one.value as number)))}`)
    }
    return [head, ...each].map((one) => isolated(one, look)).join('\n')
  }
}

/** Steps of an axis of durations, in seconds: those of a clock. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400]

/** The step of an axis on which the longest of some durations lies, in at most five steps. */
export function clockStep(most: number): number {
  const found = STEPS.find((step) => most / step <= 5)
  return found ?? Math.ceil(most / 5 / 86_400) * 86_400
}

function longest(figure: Figure): number {
  return Math.max(1, ...figure.series.flatMap((one) => one.values.map((value) => value ?? 0)))
}

function clockAxis(figure: Figure): { interval: number; max: number } {
  const most = longest(figure)
  const interval = clockStep(most)
  return { interval, max: Math.ceil(most / interval) * interval }
}

function axes(figure: Figure, look: Look, words: Words): EChartsCoreOption {
  const rows = figure.kind === 'rows'
  const wide = figure.kind === 'line' || figure.kind === 'area'
  const category = {
    type: 'category',
    data: figure.categories,
    boundaryGap: !wide,
    inverse: rows,
    ...(rows && look.rtl ? { position: 'right' } : {}),
    axisTick: { show: false },
    axisLine: { lineStyle: { color: look.line } },
    axisLabel: { ...text(look), hideOverlap: true, ...(rows ? { width: 110 * look.scale, overflow: 'truncate' } : {}) },
  }
  const value = {
    type: 'value',
    inverse: rows && look.rtl,
    minInterval: figure.unit === 'count' ? 1 : undefined,
    splitNumber: 4,
    ...(figure.unit === 'seconds' ? clockAxis(figure) : {}),
    splitLine: { lineStyle: { color: look.line } },
    axisLabel: { ...text(look), formatter: words.tick, hideOverlap: true },
  }
  return {
    grid: {
      top: figure.series.length > 1 ? 34 * look.scale : 12,
      left: 4,
      right: 12,
      bottom: 4,
      outerBoundsMode: 'same',
      outerBoundsContain: 'axisLabel',
    },
    xAxis: rows ? value : category,
    yAxis: rows ? category : value,
    tooltip: {
      ...tooltip(look),
      trigger: 'axis',
      axisPointer: { type: wide ? 'line' : 'shadow', lineStyle: { color: look.soft }, shadowStyle: { opacity: 0.25 } },
      formatter: lines(figure, look, words),
    },
  }
}

function drawn(figure: Figure, one: Series, place: number, look: Look): Record<string, unknown> {
  const color = look.colors[place % look.colors.length]
  const { kind } = figure
  if (kind === 'line' || kind === 'area') {
    return {
      type: 'line',
      name: one.name,
      data: one.values,
      showSymbol: figure.categories.length < 3,
      symbolSize: 7,
      connectNulls: false,
      triggerLineEvent: true,
      z: one.faint ? 1 : 2,
      lineStyle: { width: 2 * look.scale, ...(one.faint ? { type: 'dashed', opacity: 0.6, color: look.soft } : {}) },
      ...(one.faint ? { itemStyle: { color: look.soft } } : {}),
      ...(kind === 'area' && !one.faint ? { areaStyle: { color, opacity: 0.18 } } : {}),
      emphasis: { focus: 'series' },
    }
  }
  return {
    type: 'bar',
    name: one.name,
    data: one.values,
    ...(kind === 'stacked' ? { stack: one.faint ? 'before' : 'all' } : {}),
    ...(kind === 'histogram' ? { barCategoryGap: '4%' } : { barMaxWidth: 28 * look.scale }),
    itemStyle: {
      ...(one.faint ? { color: look.soft, opacity: 0.35 } : {}),
      borderRadius: kind === 'stacked' ? 0 : kind === 'rows' ? (look.rtl ? [3, 0, 0, 3] : [0, 3, 3, 0]) : [3, 3, 0, 0],
    },
    emphasis: { focus: 'series' },
  }
}

function donut(figure: Figure, look: Look, words: Words): EChartsCoreOption {
  const values = figure.series[0]?.values ?? []
  const all = total(values)
  const share = (value: number) => `${Math.round((value / (all || 1)) * 100)}%`
  return {
    tooltip: {
      ...tooltip(look),
      trigger: 'item',
      formatter: (one: Params) =>
        `${one.name}\n${isolated(`${words.value(Number(one.value))} · ${share(Number(one.value))}`, look)}`,
    },
    legend: {
      show: true,
      type: 'scroll',
      bottom: 0,
      icon: 'circle',
      itemWidth: 9,
      textStyle: { color: look.ink, fontSize: 12 * look.scale },
      pageIconColor: look.soft,
      pageTextStyle: { color: look.soft },
      formatter: (name: string) => isolated(`${name}  ${share(values[figure.categories.indexOf(name)] ?? 0)}`, look),
    },
    title: {
      text: words.tick(all),
      left: 'center',
      top: '38%',
      textStyle: { color: look.ink, fontSize: 22 * look.scale, fontWeight: 600, fontFamily: look.font },
    },
    series: [
      {
        type: 'pie',
        radius: ['56%', '80%'],
        center: ['50%', '44%'],
        label: { show: false },
        itemStyle: { borderColor: look.panel, borderWidth: 2 },
        data: figure.categories.map((name, place) => ({ name, value: values[place] ?? 0 })),
      },
    ],
  }
}

function heatmap(figure: Figure, look: Look, words: Words): EChartsCoreOption {
  const data = figure.series.flatMap((row, y) => row.values.map((value, x) => [x, y, value ?? 0]))
  const most = Math.max(1, ...data.map((one) => one[2] ?? 0))
  return {
    legend: { show: false },
    grid: { top: 4, left: 4, right: 12, bottom: 34, outerBoundsMode: 'same', outerBoundsContain: 'axisLabel' },
    tooltip: {
      ...tooltip(look),
      trigger: 'item',
      formatter: (one: Params) => {
        const [x = 0, y = 0, value = 0] = one.value as number[]
        return `${isolated(`${figure.series[y]?.name ?? ''} ${figure.categories[x] ?? ''}`, look)}\n${words.value(value)}`
      },
    },
    xAxis: {
      type: 'category',
      data: figure.categories,
      axisTick: { show: false },
      axisLine: { show: false },
      axisLabel: { ...text(look), hideOverlap: true },
    },
    yAxis: {
      type: 'category',
      data: figure.series.map((one) => one.name),
      inverse: true,
      axisTick: { show: false },
      axisLine: { show: false },
      axisLabel: text(look),
    },
    visualMap: {
      min: 0,
      max: most,
      orient: 'horizontal',
      left: 'center',
      bottom: 0,
      itemWidth: 10,
      itemHeight: 120,
      text: [words.tick(most), '0'],
      textStyle: text(look),
      inRange: { color: [look.cold, look.hot] },
    },
    series: [
      {
        type: 'heatmap',
        data,
        itemStyle: { borderColor: look.panel, borderWidth: 2, borderRadius: 3 },
        emphasis: { itemStyle: { borderColor: look.ink, borderWidth: 1 } },
      },
    ],
  }
}

function gauge(figure: Figure, look: Look, words: Words): EChartsCoreOption {
  const value = figure.series[0]?.values[0] ?? null
  const most = figure.most ?? (figure.unit === 'ratio' ? 1 : Math.max(1, value ?? 1))
  return {
    legend: { show: false },
    tooltip: { show: false },
    series: [
      {
        type: 'gauge',
        startAngle: 205,
        endAngle: -25,
        min: 0,
        max: most,
        radius: '96%',
        center: ['50%', '58%'],
        progress: { show: true, roundCap: true, width: 14 * look.scale },
        axisLine: { roundCap: true, lineStyle: { width: 14 * look.scale, color: [[1, look.line]] } },
        pointer: { show: false },
        axisTick: { show: false },
        splitLine: { show: false },
        axisLabel: { show: false },
        title: { offsetCenter: [0, '32%'], color: look.soft, fontSize: 12 * look.scale },
        detail: {
          offsetCenter: [0, '-2%'],
          fontSize: 28 * look.scale,
          fontWeight: 600,
          color: look.ink,
          formatter: () => (value === null ? '–' : words.value(value)),
        },
        data: [{ value: value ?? 0, name: figure.categories[0] ?? '' }],
      },
    ],
  }
}

function funnel(figure: Figure, look: Look, words: Words): EChartsCoreOption {
  const values = figure.series[0]?.values ?? []
  const first = values[0] || 1
  const part = (value: unknown) => `${Math.round((Number(value) / first) * 100)}%`
  return {
    legend: { show: false },
    tooltip: {
      ...tooltip(look),
      trigger: 'item',
      formatter: (one: Params) =>
        `${one.name}\n${isolated(`${words.value(Number(one.value))} · ${part(one.value)}`, look)}`,
    },
    series: [
      {
        type: 'funnel',
        sort: 'none',
        min: 0,
        max: first,
        minSize: '2%',
        left: '2%',
        width: '96%',
        top: 4,
        bottom: 4,
        gap: 3,
        label: {
          position: 'inside',
          color: look.ink,
          fontSize: 12 * look.scale,
          textBorderColor: look.panel,
          textBorderWidth: 3,
          formatter: (one: Params) =>
            isolated(`${one.name}  ${words.tick(Number(one.value))} · ${part(one.value)}`, look),
        },
        itemStyle: { borderWidth: 0, opacity: 0.85 },
        data: figure.categories.map((name, place) => ({ name, value: values[place] ?? 0 })),
      },
    ],
  }
}

/** The option that draws a figure. */
export function optionOf(plain: Figure, look: Look, spoken: Words): EChartsCoreOption {
  const figure: Figure = {
    ...plain,
    categories: plain.categories.map((one) => isolated(one, look)),
    series: plain.series.map((one) => ({ ...one, name: isolated(one.name, look) })),
  }
  const words: Words = {
    value: (value) => isolated(spoken.value(value), look),
    tick: (value) => isolated(spoken.tick(value), look),
  }
  const common = base(figure, look)
  switch (figure.kind) {
    case 'donut':
      return { ...common, ...donut(figure, look, words) }
    case 'heatmap':
      return { ...common, ...heatmap(figure, look, words) }
    case 'gauge':
      return { ...common, ...gauge(figure, look, words) }
    case 'funnel':
      return { ...common, ...funnel(figure, look, words) }
    default:
      return {
        ...common,
        ...axes(figure, look, words),
        series: figure.series.map((one, place) => drawn(figure, one, place, look)),
      }
  }
}

/** Which point of a figure a click of ECharts has hit. */
export function pointOf(figure: Figure, hit: { seriesIndex?: number; dataIndex?: number; value?: unknown }) {
  if (figure.kind === 'heatmap' && Array.isArray(hit.value)) {
    return { category: Number(hit.value[0]), series: Number(hit.value[1]) }
  }
  return { series: hit.seriesIndex ?? 0, category: hit.dataIndex ?? 0 }
}

/** The point nearest to a place of the coordinates; nothing where a figure has no lines, or no value there. */
export function nearest(figure: Figure, x: number, y: number): { series: number; category: number } | undefined {
  if (figure.kind !== 'line' && figure.kind !== 'area') return undefined
  const category = Math.round(x)
  let found: { series: number; category: number } | undefined
  let least = Number.POSITIVE_INFINITY
  for (const [series, one] of figure.series.entries()) {
    const value = one.values[category]
    if (one.faint || value === null || value === undefined || Math.abs(value - y) >= least) continue
    least = Math.abs(value - y)
    found = { series, category }
  }
  return found
}
