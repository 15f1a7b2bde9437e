/** How figures are written in the spoken language: whole, and short for beside an axis. */
import { i18n } from '../i18n'
import { number, UNITS } from '../i18n/format'

const locale = (): string => (i18n.locale === 'ar' ? 'ar-u-ca-gregory-nu-latn' : 'en-GB')

const made = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat>()

function kept<T extends Intl.NumberFormat | Intl.DateTimeFormat>(name: string, make: (of: string) => T): T {
  const key = `${locale()}/${name}`
  let one = made.get(key)
  if (!one) {
    one = make(locale())
    made.set(key, one)
  }
  return one as T
}

export const compact = (value: number): string =>
  kept('compact', (of) => new Intl.NumberFormat(of, { notation: 'compact', maximumFractionDigits: 1 })).format(value)

export const percent = (value: number, digits = 0): string =>
  kept(
    `percent${digits}`,
    (of) => new Intl.NumberFormat(of, { style: 'percent', maximumFractionDigits: digits }),
  ).format(value)

export const signed = (value: number): string =>
  kept(
    'signed',
    (of) => new Intl.NumberFormat(of, { style: 'percent', maximumFractionDigits: 0, signDisplay: 'exceptZero' }),
  ).format(value)

type Width = 'short' | 'narrow'

const unit = (name: (typeof UNITS)[number][0], value: number, width: Width = 'short'): string =>
  kept(
    `unit-${name}-${width}`,
    (of) => new Intl.NumberFormat(of, { style: 'unit', unit: name, unitDisplay: width }),
  ).format(value)

/** A duration in its two largest units: `4 min 12 sec`. */
export function span(seconds: number, width: Width = 'short'): string {
  const whole = Math.max(0, Math.round(seconds))
  const at = UNITS.findIndex(([, of]) => whole >= of)
  const [name, size] = UNITS[at < 0 ? 3 : at] ?? ['second', 1]
  const big = unit(name, Math.floor(whole / size), width)
  const next = at < 0 ? undefined : UNITS[at + 1]
  const rest = whole % size
  if (!next || rest < next[1]) return big
  return `${big} ${unit(next[0], Math.floor(rest / next[1]), width)}`
}

/** A duration in its largest unit, for beside an axis. */
export function shortSpan(seconds: number): string {
  const at = UNITS.find(([, of]) => seconds >= of) ?? UNITS[3]
  const value = seconds / at[1]
  return unit(at[0], value < 10 ? Math.round(value * 10) / 10 : Math.round(value))
}

export type Bucket = 'none' | 'minute' | 'quarter_hour' | 'hour' | 'day' | 'week' | 'month'

/** The name of a bucket that begins at `at`, in the workspace's time zone. */
export function bucketName(at: string, bucket: Bucket, zone: string): string {
  const instant = new Date(at)
  if (bucket === 'day' || bucket === 'week') {
    return kept(
      `day/${zone}`,
      (of) => new Intl.DateTimeFormat(of, { timeZone: zone, weekday: 'short', day: 'numeric', month: 'short' }),
    ).format(instant)
  }
  if (bucket === 'month') {
    return kept(
      `month/${zone}`,
      (of) => new Intl.DateTimeFormat(of, { timeZone: zone, month: 'short', year: 'numeric' }),
    ).format(instant)
  }
  return kept(
    `clock/${zone}`,
    (of) => new Intl.DateTimeFormat(of, { timeZone: zone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }),
  ).format(instant)
}

/** The days of the week as they are called, Sunday first. */
export function weekdays(): string[] {
  const form = kept('weekday', (of) => new Intl.DateTimeFormat(of, { weekday: 'short', timeZone: 'UTC' }))
  // 4 January 1970 was a Sunday.
  return Array.from({ length: 7 }, (_, day) => form.format(new Date(Date.UTC(1970, 0, 4 + day))))
}

export type FigureUnit = 'count' | 'seconds' | 'ratio'

/** What a unit of the hub is to a chart. */
export const unitOf = (name: string): FigureUnit =>
  name === 'seconds' ? 'seconds' : name === 'ratio' ? 'ratio' : 'count'

export function amount(value: number | null | undefined, of: FigureUnit, width: Width = 'short'): string {
  if (value === null || value === undefined) return '–'
  if (of === 'seconds') return span(value, width)
  return of === 'ratio' ? percent(value, 1) : number(value)
}

export function tick(value: number, of: FigureUnit): string {
  if (of === 'seconds') return shortSpan(value)
  return of === 'ratio' ? percent(value) : compact(value)
}
