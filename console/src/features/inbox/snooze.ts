/** Moments until which something is put off. Pure. */
const HOUR_MS = 3600_000
const DAY_MS = 24 * HOUR_MS
/** When a day begins for what is put off to it. */
const MORNING = 9
/** Nothing is put off for longer. */
const LONGEST_MS = 366 * DAY_MS

function morning(of: Date, days: number): Date {
  const date = new Date(of)
  date.setDate(date.getDate() + days)
  date.setHours(MORNING, 0, 0, 0)
  return date
}

export interface Snooze {
  id: 'hour' | 'hours' | 'evening' | 'tomorrow' | 'week'
  until: Date
}

/** What is offered at a moment, soonest first. */
export function snoozes(now: Date): Snooze[] {
  const evening = new Date(now)
  evening.setHours(18, 0, 0, 0)
  const all: Snooze[] = [
    { id: 'hour', until: new Date(now.getTime() + HOUR_MS) },
    { id: 'hours', until: new Date(now.getTime() + 3 * HOUR_MS) },
    { id: 'tomorrow', until: morning(now, 1) },
    { id: 'week', until: morning(now, 7) },
  ]
  if (evening.getTime() - now.getTime() > HOUR_MS) all.push({ id: 'evening', until: evening })
  return all.sort((a, b) => a.until.getTime() - b.until.getTime())
}

const UNITS: Record<string, number> = {
  m: 60_000,
  د: 60_000,
  h: HOUR_MS,
  س: HOUR_MS,
  d: DAY_MS,
  ي: DAY_MS,
  w: 7 * DAY_MS,
}

/** `20m`, `2h`, `3d`, `17:30` (tomorrow, if that is over), `2026-12-01`, `2026-12-01 17:30`. */
export function parseMoment(words: string, now: Date): Date | undefined {
  const text = words.trim().toLowerCase()
  let until: Date | undefined
  const span = /^(\d{1,4})\s*([mhdwدسي])\p{L}*$/u.exec(text)
  const clock = /^(\d{1,2}):(\d{2})$/.exec(text)
  const date = /^(\d{4})-(\d{2})-(\d{2})(?:[ t](\d{1,2}):(\d{2}))?$/.exec(text)
  if (span) until = new Date(now.getTime() + Number(span[1]) * (UNITS[span[2] ?? ''] ?? 0))
  else if (clock && Number(clock[1]) < 24 && Number(clock[2]) < 60) {
    until = new Date(now)
    until.setHours(Number(clock[1]), Number(clock[2]), 0, 0)
    if (until <= now) until.setDate(until.getDate() + 1)
  } else if (date) {
    const [, year, month, day, hour = String(MORNING), minute = '0'] = date
    until = new Date(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute))
    if (until.getMonth() !== Number(month) - 1) return undefined
  }
  if (!until || until <= now || until.getTime() - now.getTime() > LONGEST_MS) return undefined
  return until
}
