/** KPIs over time: what the hub calls them, how one asks for a series of them, and when to ask again. */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { type Failure, failure } from '../api/client'
import { useDesk } from '../app/live'
import { ask, keyOf } from './ask'
import type { Bucket } from './format'
import { runSql } from './sql'

export interface Definition {
  name: string
  title: string
  unit: string
  definition: string
  better?: 'higher' | 'lower' | 'neutral'
}

export interface Bin {
  from: number
  to?: number
  count: number
}

export interface Measure {
  value?: number | null
  count?: number
  average?: number | null
  p50?: number | null
  p90?: number | null
  p95?: number | null
  p99?: number | null
  part?: number
  histogram?: Bin[]
}

export interface Group {
  key: string | null
  total: Measure
  previous?: Measure
  points: (Measure | null)[]
}

export interface KpiSeries {
  kpi: string
  unit: string
  better: 'higher' | 'lower' | 'neutral'
  total: Measure
  previous?: Measure
  groups_left_out: number
  groups: Group[]
  sql: string
}

export interface SeriesAnswer {
  time_zone: string
  from: string
  to: string
  bucket: Bucket
  as_of: string
  previous?: { from: string; to: string }
  buckets: string[]
  series: KpiSeries[]
}

export type Dimension = 'channel' | 'agent' | 'label'

export interface Filters {
  channel?: string
  agent?: string
  label?: string
}

export interface Ask extends Filters {
  kpis: readonly string[]
  bucket: Bucket
  by?: Dimension
  groups?: number
}

export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** The beginning of the local day in which an instant lies. */
export function dayStart(at: number, zone: string): number {
  const form = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })
  const wall = (instant: number): number => {
    const parts = Object.fromEntries(form.formatToParts(instant).map((one) => [one.type, Number(one.value)]))
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts
    return Date.UTC(year, month - 1, day, hour, minute, second)
  }
  // The clock on the wall shows whole seconds.
  const whole = Math.floor(at / 1000) * 1000
  const local = wall(whole)
  const midnight = Math.floor(local / DAY) * DAY
  // The clock may have been set in between: the offset at midnight counts.
  const guess = whole - (local - midnight)
  return guess - (wall(guess) - midnight)
}

export const RANGES = ['hour', 'today', 'day', 'week', 'month', 'quarter'] as const
export type Range = (typeof RANGES)[number]

export interface Span {
  from: number
  to: number
  bucket: Bucket
}

/** From when to when a range goes that ends now, and in what it is counted. */
export function spanOf(range: Range, now: number, zone: string): Span {
  const to = Math.ceil((now + 1) / MINUTE) * MINUTE
  const days = (count: number, bucket: Bucket): Span => ({
    from: dayStart(dayStart(now, zone) - (count - 1) * DAY + HOUR * 2, zone),
    to,
    bucket,
  })
  switch (range) {
    case 'hour':
      return { from: to - 60 * MINUTE, to, bucket: 'minute' }
    case 'today':
      return { from: dayStart(now, zone), to, bucket: 'hour' }
    case 'day':
      return { from: Math.floor(now / HOUR) * HOUR - 23 * HOUR, to, bucket: 'hour' }
    case 'week':
      return days(7, 'day')
    case 'month':
      return days(28, 'day')
    case 'quarter':
      return days(91, 'week')
  }
}

/** How long before a range the one lies that it is compared with: the same hours of the day, the same days of the week. */
const BEFORE: Record<Range, number> = {
  hour: HOUR,
  today: DAY,
  day: DAY,
  week: 7 * DAY,
  month: 28 * DAY,
  quarter: 91 * DAY,
}

/** The time with which a range is compared, up to the same moment in it. */
export const before = (range: Range, span: Span): Span => ({
  ...span,
  from: span.from - BEFORE[range],
  to: span.to - BEFORE[range],
})

/** The address of a question. */
export function seriesPath(question: Ask, span: Span): string {
  const query = new URLSearchParams({
    kpis: question.kpis.join(','),
    from: new Date(span.from).toISOString(),
    to: new Date(span.to).toISOString(),
    bucket: question.bucket,
  })
  if (question.by) query.set('by', question.by)
  if (question.channel) query.set('channel_id', question.channel)
  if (question.agent) query.set('agent_id', question.agent)
  if (question.label) query.set('label', question.label)
  if (question.groups) query.set('groups', String(question.groups))
  return `/api/v1/kpis/series?${query}`
}

/**
 * Grows when the hub has pushed new figures, at once and then at most every `everyMs`: what is shown follows the events, and
 * nothing is asked for while nothing happens.
 */
export function usePulse(everyMs: number): number {
  const revision = useDesk((state) => state.board?.revision)
  const [pulse, setPulse] = useState(0)
  const last = useRef(Date.now())
  const seen = useRef(revision)
  useEffect(() => {
    if (revision === seen.current) return
    const wait = Math.max(0, last.current + everyMs - Date.now())
    const timer = setTimeout(() => {
      seen.current = revision
      last.current = Date.now()
      setPulse((old) => old + 1)
    }, wait)
    return () => clearTimeout(timer)
  }, [revision, everyMs])
  return pulse
}

export interface Asked<T> {
  data: T | undefined
  failed: Failure | undefined
  again: () => void
}

/** Something of the board that is asked for anew with each pulse; until then what was there stays. */
export function useAsked<T>(name: unknown[], load: () => Promise<T>, pulse: number, enabled = true): Asked<T> {
  const { data, error, refetch } = useQuery<T>({
    queryKey: keyOf('board', ...name),
    queryFn: load,
    enabled,
    placeholderData: keepPreviousData,
    retry: (count, one) => count < 1 && failure(one).temporary,
  })
  const first = useRef(pulse)
  useEffect(() => {
    if (first.current === pulse || !enabled) return
    first.current = pulse
    // What is on its way is waited for: a busy hub would else never come to an answer.
    void refetch({ cancelRefetch: false })
  }, [pulse, refetch, enabled])
  return { data, failed: error ? failure(error) : undefined, again: () => void refetch() }
}

export interface SeriesOptions {
  /** In place of the range's own. */
  bucket?: Bucket
  /** The time before, to compare with. */
  earlier?: boolean
  enabled?: boolean
}

export const useSeries = (
  range: Range,
  zone: string,
  question: Omit<Ask, 'bucket'>,
  pulse: number,
  options: SeriesOptions = {},
): Asked<SeriesAnswer> =>
  useAsked(
    ['series', range, zone, question, options.bucket, options.earlier ?? false],
    () => {
      const now = spanOf(range, Date.now(), zone)
      const span = options.earlier ? before(range, now) : now
      return ask<SeriesAnswer>('GET', seriesPath({ ...question, bucket: options.bucket ?? span.bucket }, span))
    },
    pulse,
    options.enabled ?? true,
  )

/** What the KPIs mean: from the API, or from SQL where the hub has no more. */
export function useDefinitions(): ReadonlyMap<string, Definition> {
  const { data } = useQuery<ReadonlyMap<string, Definition>>({
    queryKey: keyOf('board', 'definitions'),
    queryFn: async () => {
      const all = await ask<{ items: Definition[] }>('GET', '/api/v1/kpis/definitions')
        .then((answer) => answer.items)
        .catch(async (error: unknown) => {
          if (failure(error).code !== 'not_found') throw error
          const { rows } = await runSql('SELECT name, title, unit, definition FROM kpi_definitions')
          return rows.map(([name, title, unit, definition]) => ({ name, title, unit, definition }) as Definition)
        })
      return new Map(all.map((one) => [one.name, one]))
    },
    staleTime: Number.POSITIVE_INFINITY,
  })
  return data ?? NONE
}

const NONE: ReadonlyMap<string, Definition> = new Map()
