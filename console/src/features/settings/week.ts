/** The hours of a week in which the workspace is open. A period whose end is not after its beginning ends on the next day. */

export const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const
export type Weekday = (typeof WEEKDAYS)[number]

export interface Period {
  weekday: Weekday
  opens: string
  closes: string
}

export interface Holiday {
  date: string
  name: string
}

export interface Hours {
  periods: Period[]
  holidays: Holiday[]
}

const DAY = 1440
const WEEK = 7 * DAY

/** Minutes since midnight; nothing if it is no time of day. `24:00` is the end of the day. */
export function minutes(time: string): number | undefined {
  const found = /^(\d{2}):(\d{2})(?::\d{2})?$/.exec(time)
  if (!found) return undefined
  const all = Number(found[1]) * 60 + Number(found[2])
  return Number(found[2]) < 60 && all <= DAY ? all : undefined
}

/** From when to when a period lasts, in minutes of the week; the end may lie in the next week. */
function span(period: Period): [number, number] | undefined {
  const opens = minutes(period.opens)
  const closes = minutes(period.closes)
  if (opens === undefined || closes === undefined || opens === DAY) return undefined
  const day = WEEKDAYS.indexOf(period.weekday) * DAY
  return [day + opens, day + closes + (closes <= opens ? DAY : 0)]
}

/** The days on which a period is no period, or runs into another. Periods may touch. */
export function clashes(periods: readonly Period[]): ReadonlySet<Weekday> {
  const wrong = new Set<Weekday>()
  const spans = periods.map((period) => ({ period, at: span(period) }))
  for (const [place, one] of spans.entries()) {
    if (!one.at) {
      wrong.add(one.period.weekday)
      continue
    }
    for (const other of spans.slice(place + 1)) {
      if (!other.at) continue
      for (const shift of [-WEEK, 0, WEEK]) {
        if (one.at[0] < other.at[1] + shift && other.at[0] + shift < one.at[1]) {
          wrong.add(one.period.weekday)
          wrong.add(other.period.weekday)
        }
      }
    }
  }
  return wrong
}

/** For how many minutes of a week the workspace is open; periods that clash are counted twice. */
export const open = (periods: readonly Period[]): number =>
  periods.reduce((sum, period) => {
    const at = span(period)
    return sum + (at ? at[1] - at[0] : 0)
  }, 0)

/** The same hours on other days, in place of what these have. */
export function copied(periods: readonly Period[], from: Weekday, to: readonly Weekday[]): Period[] {
  const source = periods.filter((one) => one.weekday === from)
  const kept = periods.filter((one) => one.weekday === from || !to.includes(one.weekday))
  return [...kept, ...to.filter((day) => day !== from).flatMap((weekday) => source.map((one) => ({ ...one, weekday })))]
}
