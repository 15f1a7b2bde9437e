/** What a board's address says after `?`: everything that is chosen on it, so that a link shows the same. */

const RANGES = ['hour', 'today', 'day', 'week', 'month', 'quarter'] as const

export interface BoardSearch {
  range?: (typeof RANGES)[number]
  channel?: string
  agent?: string
  label?: string
  compare?: true
  wall?: true
}

const LONGEST = 200
const text = (raw: unknown): string | undefined =>
  typeof raw === 'string' && raw !== '' && raw.length <= LONGEST ? raw : undefined
const yes = (raw: unknown): boolean => raw === true || raw === 'true' || raw === 1

export function boardSearch(raw: Record<string, unknown>): Record<string, unknown> {
  const range = RANGES.find((one) => one === raw.range)
  const [channel, agent, label] = [text(raw.channel), text(raw.agent), text(raw.label)]
  const found: BoardSearch = {
    ...(range ? { range } : {}),
    ...(channel ? { channel } : {}),
    ...(agent ? { agent } : {}),
    ...(label ? { label } : {}),
    ...(yes(raw.compare) ? { compare: true } : {}),
    ...(yes(raw.wall) ? { wall: true } : {}),
  }
  return found as Record<string, unknown>
}
