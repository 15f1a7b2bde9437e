/** Numbers, times and durations as the spoken language writes them. */
import { i18n, t } from './index'

const cache = new Map<string, Intl.DateTimeFormat | Intl.NumberFormat>()

function cached<T extends Intl.DateTimeFormat | Intl.NumberFormat>(name: string, make: (locale: string) => T): T {
  // Gregorian months and Latin digits: what Arabic business software shows by default.
  const locale = i18n.locale === 'ar' ? 'ar-u-ca-gregory-nu-latn' : 'en-GB'
  const key = `${locale}/${name}`
  let one = cache.get(key)
  if (!one) {
    one = make(locale)
    cache.set(key, one)
  }
  return one as T
}

export const number = (value: number): string => cached('number', (l) => new Intl.NumberFormat(l)).format(value)

export const clock = (at: string | number): string =>
  cached('clock', (l) => new Intl.DateTimeFormat(l, { hour: 'numeric', minute: '2-digit' })).format(new Date(at))

const dayOf = (at: Date): number => new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime()
export const sameDay = (a: string, b: string): boolean => dayOf(new Date(a)) === dayOf(new Date(b))

export function day(at: string): string {
  const ago = Math.round((dayOf(new Date()) - dayOf(new Date(at))) / 86_400_000)
  if (ago === 0) return t('day.today')
  if (ago === 1) return t('day.yesterday')
  return cached('day', (l) => new Intl.DateTimeFormat(l, { weekday: 'short', day: 'numeric', month: 'long' })).format(
    new Date(at),
  )
}

export const moment = (at: string | number): string =>
  cached(
    'moment',
    (l) => new Intl.DateTimeFormat(l, { day: 'numeric', month: 'short', hour: 'numeric', minute: '2-digit' }),
  ).format(new Date(at))

/** For lists: the hour today, else the day. */
export function short(at: string, now: number): string {
  if (now - Date.parse(at) < 60_000) return t('time.now')
  if (dayOf(new Date(at)) === dayOf(new Date(now))) return clock(at)
  return cached('short', (l) => new Intl.DateTimeFormat(l, { day: 'numeric', month: 'short' })).format(new Date(at))
}

/** Units of a duration with their seconds, largest first. */
export const UNITS = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
] as const

/** A duration in its largest unit: `4 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const [unit, size] = UNITS.find(([, of]) => whole >= of) ?? (['second', 1] as const)
  const value = Math.floor(whole / size)
  return cached(`u-${unit}`, (l) => new Intl.NumberFormat(l, { style: 'unit', unit, unitDisplay: 'short' })).format(
    value,
  )
}

/** A name inside a sentence, whose direction is its own: what stands around it keeps its place. */
export const isolated = (name: string): string => `\u2068${name}\u2069`
