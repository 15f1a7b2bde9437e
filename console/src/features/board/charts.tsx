/** The board's charts: what each asks for, how it is drawn, what stands behind its points. */
import { useCallback, useMemo } from 'react'
import { useStore } from 'zustand'
import type { KpiValue } from '../../api/types'
import { useDesk } from '../../app/live'
import { useAgents, useChannels } from '../../app/people'
import { amount, type Bucket, bucketName, percent, shortSpan, weekdays } from '../../data/format'
import {
  type Bin,
  type Definition,
  type Filters,
  type Range,
  type SeriesAnswer,
  spanOf,
  useAsked,
  usePulse,
  useSeries,
} from '../../data/kpi'
import { runSql } from '../../data/sql'
import { language, t } from '../../i18n'
import type { Figure, Point } from '../../ui/chart/figure'
import { Arranged } from './arranged'
import { Card } from './card'
import { type Behind, funnelSql } from './drill'
import { byGroup, change, compared, heat, histogram, overTime, ranked, seriesOf } from './figures'
import { meaningOf, titleOf } from './names'

/** How often figures over time follow what is pushed, in milliseconds; those over weeks move slowly. */
const QUICK_MS = 10_000
const CALM_MS = 30_000
const SLOW_MS = 60_000
/** Groups that are told apart by colour. */
const GROUPS = 8

export interface ChartsProps {
  range: Range
  zone: string
  filters: Filters
  compare: boolean
  wall: boolean
  known: ReadonlyMap<string, Definition>
  cells: ReadonlyMap<string, KpiValue>
  onBehind: (what: Behind) => void
}

/** The time of a bucket of an answer. */
function within(answer: SeriesAnswer, place: number): { from: number; to: number } {
  const from = Date.parse(answer.buckets[place] ?? answer.from)
  return { from, to: Date.parse(answer.buckets[place + 1] ?? answer.to) }
}

export function Charts(props: ChartsProps) {
  const spoken = useStore(language, (state) => state.language)
  const { range, zone, filters, compare, wall, known, onBehind } = props
  const quick = usePulse(QUICK_MS)
  const calm = usePulse(CALM_MS)
  const slow = usePulse(SLOW_MS)
  const channels = useChannels()
  const agents = useAgents()
  const ask = {
    kpis: ['messages_in', 'messages_out', 'opened', 'resolved', 'first_response', 'delivery_rate'],
    ...filters,
  }
  // Deliveries are known by channel alone.
  const plain = { ...ask, kpis: ask.kpis.filter((one) => one !== 'delivery_rate' || !(filters.agent || filters.label)) }
  const main = useSeries(range, zone, plain, quick)
  const earlier = useSeries(range, zone, plain, slow, { earlier: true, enabled: compare })
  const channelled = useSeries(range, zone, { kpis: ['messages_in'], by: 'channel', groups: GROUPS, ...filters }, calm)
  const peopled = useSeries(
    range,
    zone,
    { kpis: ['messages_out', 'resolved'], by: 'agent', groups: 12, ...filters },
    calm,
    { bucket: 'none' },
  )
  const hourly = useSeries('month', zone, { kpis: ['messages_in'], ...filters }, slow, { bucket: 'hour' })
  const old = compare ? earlier.data : undefined

  const channelName = useCallback(
    (key: string | null) => (key ? (channels.get(key)?.name ?? key.slice(0, 8)) : t('board.none')),
    [channels],
  )
  const agentName = (key: string | null) => (key ? (agents.get(key)?.name ?? key.slice(0, 8)) : t('board.nobodyOf'))
  const named = (at: string, bucket: Bucket) => bucketName(at, bucket, zone)
  const say = (kpi: string) => <Meaning names={[kpi]} known={known} />
  const title = (kpi: string) => titleOf(kpi, known)

  const drawn = useMemo(() => {
    const answer = main.data
    if (!answer) return undefined
    const time = t('board.time')
    const first = seriesOf(answer, 'first_response')
    const volume = overTime(
      answer,
      'line',
      [
        { kpi: 'messages_in', name: title('messages_in') },
        { kpi: 'messages_out', name: title('messages_out') },
      ],
      time,
      named,
    )
    const flow = overTime(
      answer,
      'area',
      [
        { kpi: 'opened', name: title('opened') },
        { kpi: 'resolved', name: title('resolved') },
      ],
      time,
      named,
    )
    const speed = overTime(
      answer,
      'bar',
      [
        { kpi: 'first_response', part: 'p50', name: t('board.median') },
        { kpi: 'first_response', part: 'p90', name: t('board.ninth') },
      ],
      time,
      named,
    )
    const bars = histogram(
      first?.total.histogram ?? [],
      old && (seriesOf(old, 'first_response')?.total.histogram ?? []),
      {
        axis: t('board.howLong'),
        now: t('board.times'),
        before: t('board.before'),
        bin: binName,
      },
    )
    const rate = seriesOf(answer, 'delivery_rate')
    const delivered: Figure = {
      kind: 'gauge',
      unit: 'ratio',
      axis: title('delivery_rate'),
      categories: [t('board.ofSent', { count: rate?.total.count ?? 0 })],
      series:
        rate?.total.value === null || rate?.total.value === undefined
          ? []
          : [{ name: title('delivery_rate'), values: [rate.total.value] }],
    }
    return {
      volume: compared(volume, old, 'messages_in', t('board.beforeOf', { name: title('messages_in') })),
      flow,
      speed,
      bars,
      delivered,
      rated: rate !== undefined,
    }
  }, [main.data, old, spoken, known, zone])

  const grouped = useMemo(
    () => channelled.data && byGroup(channelled.data, 'messages_in', 'stacked', t('board.time'), channelName, named),
    [channelled.data, spoken, channels, zone],
  )
  const people = useMemo(
    () =>
      peopled.data &&
      ranked(
        peopled.data,
        [
          { kpi: 'resolved', name: title('resolved') },
          { kpi: 'messages_out', name: title('messages_out') },
        ],
        t('board.agent'),
        agentName,
      ),
    [peopled.data, spoken, agents],
  )
  const heated = useMemo(
    () => hourly.data && heat(hourly.data, 'messages_in', t('board.hour'), weekdays()),
    [hourly.data, spoken],
  )

  const pick = (answer: SeriesAnswer | undefined, figure: Figure | undefined) => (point: Point) => {
    if (!answer || !figure) return
    const kpi = figure.series[point.series]?.key ?? ''
    if (!kpi || figure.series[point.series]?.faint) return
    onBehind({
      ...filters,
      kpi,
      ...within(answer, point.category),
      title: `${title(kpi)} · ${figure.categories[point.category] ?? ''}`,
    })
  }
  const changed = (kpi: string) => (compare ? change(seriesOf(main.data, kpi), seriesOf(old, kpi)) : undefined)
  const sum = (kpi: string) => {
    const one = seriesOf(main.data, kpi)
    return one
      ? amount(one.total.value, one.unit === 'seconds' ? 'seconds' : one.unit === 'ratio' ? 'ratio' : 'count')
      : undefined
  }
  const state = { failed: main.data ? undefined : main.failed, again: main.again, wall }
  return (
    <Arranged wall={wall}>
      <Card
        {...state}
        wide
        title={t('board.chart.volume')}
        meaning={<Meaning names={['messages_in', 'messages_out']} known={known} />}
        figure={drawn?.volume}
        sum={sum('messages_in')}
        change={changed('messages_in')}
        onPick={pick(main.data, drawn?.volume)}
      />
      <OpenNow {...props} name={channelName} />
      <Card
        {...state}
        title={t('board.chart.flow')}
        meaning={<Meaning names={['opened', 'resolved']} known={known} />}
        figure={drawn?.flow}
        sum={sum('resolved')}
        change={changed('resolved')}
        onPick={pick(main.data, drawn?.flow)}
      />
      <Card
        wall={wall}
        title={t('board.chart.channels')}
        meaning={say('messages_in')}
        figure={grouped}
        failed={channelled.failed}
        again={channelled.again}
        {...(channelled.data ? { leftOut: seriesOf(channelled.data, 'messages_in')?.groups_left_out ?? 0 } : {})}
        onPick={(point) => {
          const channel = grouped?.series[point.series]?.key
          if (!channelled.data || !channel) return
          const name = `${channelName(channel)} · ${grouped.categories[point.category] ?? ''}`
          onBehind({ ...filters, channel, kpi: 'messages_in', ...within(channelled.data, point.category), title: name })
        }}
      />
      <Card
        {...state}
        title={t('board.chart.speed')}
        meaning={say('first_response')}
        figure={drawn?.speed}
        sum={sum('first_response')}
        change={changed('first_response')}
        onPick={pick(main.data, drawn?.speed)}
      />
      <Card
        {...state}
        title={t('board.chart.spread')}
        meaning={say('first_response')}
        figure={drawn?.bars.figure}
        onPick={(point) => {
          const bin = drawn?.bars.bins[point.category]
          if (!main.data || !bin || point.series > 0) return
          const time = { from: Date.parse(main.data.from), to: Date.parse(main.data.to) }
          const last = bin.to === undefined ? {} : { most: bin.to }
          onBehind({
            ...filters,
            kpi: 'first_response',
            ...time,
            least: bin.from,
            ...last,
            title: `${title('first_response')} · ${binName(bin)}`,
          })
        }}
      />
      <Card
        wall={wall}
        title={t('board.chart.people')}
        meaning={<Meaning names={['resolved', 'messages_out']} known={known} />}
        figure={people?.figure}
        failed={peopled.failed}
        again={peopled.again}
        onPick={(point) => {
          const agent = people?.keys[point.category]
          const kpi = people?.figure.series[point.series]?.key
          if (!peopled.data || !agent || !kpi) return
          const time = { from: Date.parse(peopled.data.from), to: Date.parse(peopled.data.to) }
          onBehind({ ...filters, agent, kpi, ...time, title: `${title(kpi)} · ${agentName(agent)}` })
        }}
      />
      <Funnel {...props} pulse={slow} />
      {(!drawn || drawn.rated) && (
        <Card
          {...state}
          title={title('delivery_rate')}
          meaning={say('delivery_rate')}
          figure={drawn?.delivered}
          change={changed('delivery_rate')}
          onPick={() => {
            if (!main.data) return
            const time = { from: Date.parse(main.data.from), to: Date.parse(main.data.to) }
            onBehind({ ...filters, kpi: 'failure_rate', ...time, title: t('board.notDelivered') })
          }}
        />
      )}
      <Card
        wall={wall}
        wide
        title={t('board.chart.hours')}
        meaning={
          <>
            <p>{t('board.hoursMeaning', { zone })}</p>
            {say('messages_in')}
          </>
        }
        figure={heated}
        failed={hourly.failed}
        again={hourly.again}
      />
    </Arranged>
  )
}

/** A bin of durations: `10–30 sec`. */
export function binName(bin: Bin): string {
  return bin.to === undefined
    ? t('board.orMore', { time: shortSpan(bin.from) })
    : `${shortSpan(bin.from)} – ${shortSpan(bin.to)}`
}

function Meaning({ names, known }: { names: readonly string[]; known: ReadonlyMap<string, Definition> }) {
  return (
    <dl className="space-y-2">
      {names.map((name) => (
        <div key={name}>
          <dt className="font-medium">{titleOf(name, known)}</dt>
          <dd className="text-soft">{meaningOf(name, known)}</dd>
        </div>
      ))}
    </dl>
  )
}

/** Open conversations by channel, as they are pushed. */
function OpenNow({
  cells,
  known,
  wall,
  onBehind,
  filters,
  name,
}: ChartsProps & { name: (key: string | null) => string }) {
  const spoken = useStore(language, (state) => state.language)
  const { figure, keys } = useMemo(() => {
    const all = [...cells.values()].filter((one) => one.kpi === 'open' && one.channel_id && (one.value ?? 0) > 0)
    const chosen = all.filter((one) => !filters.channel || one.channel_id === filters.channel)
    chosen.sort((a, b) => (b.value ?? 0) - (a.value ?? 0))
    const shown: Figure = {
      kind: 'donut',
      unit: 'count',
      axis: t('board.channel'),
      categories: chosen.map((one) => name(one.channel_id ?? null)),
      series: [{ name: titleOf('open', known), values: chosen.map((one) => one.value ?? 0) }],
    }
    return { figure: shown, keys: chosen.map((one) => one.channel_id ?? '') }
  }, [cells, filters.channel, known, spoken, name])
  return (
    <Card
      wall={wall}
      title={t('board.chart.open')}
      meaning={<Meaning names={['open']} known={known} />}
      figure={figure}
      onPick={(point) => {
        const channel = keys[point.category]
        if (channel) onBehind({ kpi: 'open', channel, title: `${titleOf('open', known)} · ${name(channel)}` })
      }}
    />
  )
}

const STEPS = ['began', 'answered', 'closed'] as const

/** What became of the conversations that began in the range. */
function Funnel({ range, zone, filters, wall, pulse, onBehind }: ChartsProps & { pulse: number }) {
  const asked = useAsked(
    ['funnel', range, zone, filters],
    async () => {
      const span = spanOf(range, Date.now(), zone)
      const { rows } = await runSql(funnelSql(span.from, span.to, filters))
      return { span, values: (rows[0] ?? []).map((value) => Number(value ?? 0)) }
    },
    pulse,
  )
  const spoken = useStore(language, (state) => state.language)
  const figure = useMemo<Figure | undefined>(
    () =>
      asked.data && {
        kind: 'funnel',
        unit: 'count',
        axis: t('board.step'),
        categories: STEPS.map((step) => t(`board.step.${step}`)),
        series: [{ name: t('board.conversations'), values: asked.data.values }],
      },
    [asked.data, spoken],
  )
  const [began = 0, , closed = 0] = asked.data?.values ?? []
  return (
    <Card
      wall={wall}
      title={t('board.chart.funnel')}
      meaning={t('board.funnelMeaning')}
      figure={figure}
      sum={began > 0 ? percent(closed / began) : undefined}
      failed={asked.failed}
      again={asked.again}
      onPick={(point) => {
        const kpi = STEPS[point.category]
        if (asked.data && kpi) {
          const { from, to } = asked.data.span
          onBehind({ ...filters, kpi, from, to, title: figure?.categories[point.category] ?? '' })
        }
      }}
    />
  )
}

/** How much of what those who are here can carry is taken: pushed, for the head of the board. */
export function useLoad(cells: ReadonlyMap<string, KpiValue>): { open: number; room: number } | undefined {
  const agents = useAgents()
  const presence = useDesk((state) => state.presence)
  let open = 0
  let room = 0
  for (const agent of agents.values()) {
    const here = presence.get(agent.user_id)
    if (!agent.active || !here?.connected || here.availability !== 'online') continue
    room += agent.capacity
    open += cells.get(`open/${agent.user_id}`)?.value ?? 0
  }
  return room > 0 ? { open, room } : undefined
}
