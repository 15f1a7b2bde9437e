/** How the board's numbers are written. */
import type { KpiValue } from '../api/types'
import { t } from '../i18n'
import { duration, number } from '../i18n/format'

export const KPIS = [
  'open',
  'unassigned',
  'waiting',
  'oldest_wait_seconds',
  'first_response_p50',
  'first_response_p90',
  'messages_in',
  'messages_out',
  'resolved',
] as const
export type KpiName = (typeof KPIS)[number]

/** A wait that goes on is told by its beginning; how long it is by now is for the page to say. */
export function figure(value: KpiValue | undefined, now: number): string {
  const amount = value?.since ? (now - Date.parse(value.since)) / 1000 : value?.value
  if (amount === undefined || amount === null) return t('unit.none')
  return value?.unit === 'seconds' ? duration(amount) : number(amount)
}
