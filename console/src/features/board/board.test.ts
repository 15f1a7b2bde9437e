import { beforeAll, describe, expect, it } from 'vitest'
import { amount, bucketName, percent, shortSpan, span, tick } from '../../data/format'
import { before, DAY, dayStart, HOUR, RANGES, type SeriesAnswer, seriesPath, spanOf } from '../../data/kpi'
import { speak } from '../../i18n'
import { asTable, type Figure, isEmpty, KINDS } from '../../ui/chart/figure'
import { clockStep, type Look, nearest, optionOf, pointOf } from '../../ui/chart/option'
import { utc } from './behind'
import { behind, funnelSql } from './drill'
import { change, compared, heat, histogram, overTime, ranked, seriesOf } from './figures'
import { boardSearch } from './search'
import { EVERY_MS, extended, POINTS, path, type Trails } from './trail'

beforeAll(() => speak('en', false))

describe('a range', () => {
  const now = Date.parse('2026-11-22T21:04:30.511Z')
  it('begins where the day begins in the time zone of the workspace', () => {
    expect(new Date(dayStart(now, 'Asia/Amman')).toISOString()).toBe('2026-11-22T21:00:00.000Z')
    expect(new Date(dayStart(now, 'UTC')).toISOString()).toBe('2026-11-22T00:00:00.000Z')
    expect(new Date(dayStart(now, 'Asia/Kolkata')).toISOString()).toBe('2026-11-22T18:30:00.000Z')
  })
  it('begins at local midnight on a day on which the clock is set', () => {
    // In Berlin the clock goes back at 01:00 UTC on 25 October 2026, forward on 29 March.
    expect(new Date(dayStart(Date.parse('2026-10-25T12:00:00Z'), 'Europe/Berlin')).toISOString()).toBe(
      '2026-10-24T22:00:00.000Z',
    )
    expect(new Date(dayStart(Date.parse('2026-03-29T12:00:00Z'), 'Europe/Berlin')).toISOString()).toBe(
      '2026-03-28T23:00:00.000Z',
    )
  })
  it('holds as many days as it says, today with them', () => {
    const week = spanOf('week', now, 'Asia/Amman')
    expect(new Date(week.from).toISOString()).toBe('2026-11-16T21:00:00.000Z')
    expect(week.bucket).toBe('day')
    const autumn = spanOf('week', Date.parse('2026-10-28T12:00:00Z'), 'Europe/Berlin')
    expect(new Date(autumn.from).toISOString()).toBe('2026-10-21T22:00:00.000Z')
  })
  it('ends with a whole minute after now, and is never too long for the hub', () => {
    for (const range of RANGES) {
      const one = spanOf(range, now, 'Asia/Amman')
      expect(one.to % 60_000, range).toBe(0)
      expect(one.from % 60_000, range).toBe(0)
      expect(one.to).toBeGreaterThan(now)
      expect(one.to - one.from).toBeLessThanOrEqual(92 * DAY)
      expect(before(range, one).to).toBeLessThan(one.to)
    }
    expect((spanOf('month', now, 'UTC').to - spanOf('month', now, 'UTC').from) / HOUR).toBeLessThanOrEqual(1000)
  })
  it('is asked for with what is chosen', () => {
    const address = seriesPath(
      { kpis: ['messages_in', 'opened'], bucket: 'day', by: 'channel', channel: 'c 1', label: 'شكوى' },
      { from: 0, to: DAY, bucket: 'day' },
    )
    const query = new URL(address, 'http://hub').searchParams
    expect(query.get('kpis')).toBe('messages_in,opened')
    expect(query.get('channel_id')).toBe('c 1')
    expect(query.get('label')).toBe('شكوى')
    expect(query.get('agent_id')).toBeNull()
  })
})

const answer = (part: Partial<SeriesAnswer>): SeriesAnswer => ({
  time_zone: 'Asia/Amman',
  from: '2026-11-21T21:00:00Z',
  to: '2026-11-23T21:00:00Z',
  bucket: 'day',
  as_of: '2026-11-22T21:00:00Z',
  buckets: ['2026-11-21T21:00:00Z', '2026-11-22T21:00:00Z'],
  series: [],
  ...part,
})
const kpi = (name: string, values: (number | null)[], total = 0, unit = 'messages') => ({
  kpi: name,
  unit,
  better: 'higher' as const,
  total: { value: total },
  groups_left_out: 0,
  groups: [{ key: null, total: { value: total }, points: values.map((value) => (value === null ? null : { value })) }],
  sql: '',
})

describe('figures', () => {
  it('are one series for each KPI that the hub gave', () => {
    const figure = overTime(
      answer({ series: [kpi('messages_in', [3, null])] }),
      'line',
      [
        { kpi: 'messages_in', name: 'In' },
        { kpi: 'opened', name: 'Begun' },
      ],
      'Time',
      (at) => at.slice(8, 10),
    )
    expect(figure.categories).toEqual(['21', '22'])
    expect(figure.series).toEqual([{ name: 'In', key: 'messages_in', values: [3, null] }])
    expect(
      compared(figure, answer({ series: [kpi('messages_in', [1, 2])] }), 'messages_in', 'Before').series[1],
    ).toEqual({
      name: 'Before',
      key: 'messages_in',
      faint: true,
      values: [1, 2],
    })
    expect(compared(figure, undefined, 'messages_in', 'Before')).toBe(figure)
  })
  it('rank groups by the first KPI, and keep those that only the second knows', () => {
    const group = (key: string | null, value: number) => ({ key, total: { value }, points: [] })
    const given = answer({
      series: [
        { ...kpi('resolved', []), groups: [group('a', 1), group('b', 5)] },
        { ...kpi('messages_out', []), groups: [group(null, 9)] },
      ],
    })
    const { figure, keys } = ranked(
      given,
      [
        { kpi: 'resolved', name: 'Resolved' },
        { kpi: 'messages_out', name: 'Sent' },
      ],
      'Agent',
      (key) => key ?? 'nobody',
    )
    expect(keys).toEqual(['b', 'a', null])
    expect(figure.series.map((one) => one.values)).toEqual([
      [5, 1, null],
      [null, null, 9],
    ])
  })
  it('put bins of both times side by side', () => {
    const words = { axis: 'a', now: 'n', before: 'b', bin: (bin: { from: number }) => String(bin.from) }
    const { figure, bins } = histogram([{ from: 30, count: 2 }], [{ from: 0, to: 10, count: 1 }], words)
    expect(figure.categories).toEqual(['0', '30'])
    expect(figure.series.map((one) => one.values)).toEqual([
      [0, 2],
      [1, 0],
    ])
    expect(bins.map((one) => one.from)).toEqual([0, 30])
  })
  it('lay hours out by the weekday of the workspace', () => {
    // 21:00 UTC on Saturday 21 November is midnight on Sunday in Amman.
    const figure = heat(answer({ bucket: 'hour', series: [kpi('messages_in', [4, 2])] }), 'messages_in', 'Hour', [
      'S',
      'M',
    ])
    expect(figure.series[0]?.values[0]).toBe(4)
    expect(figure.series[1]?.values[0]).toBe(2)
    expect(figure.series).toHaveLength(7)
    expect(figure.categories).toHaveLength(24)
  })
  it('tell whether a change is good', () => {
    const [now, then] = [kpi('resolved', [], 12), kpi('resolved', [], 10)]
    expect(change(now, then)?.by).toBeCloseTo(0.2)
    expect(change(now, then)?.good).toBe(true)
    expect(change({ ...now, better: 'lower' }, { ...then, better: 'lower' })?.good).toBe(false)
    expect(change(now, kpi('resolved', [], 0))).toBeUndefined()
    expect(change(undefined, then)).toBeUndefined()
  })
  it('are found by name', () => {
    expect(seriesOf(answer({ series: [kpi('opened', [])] }), 'opened')?.kpi).toBe('opened')
    expect(seriesOf(undefined, 'opened')).toBeUndefined()
  })
})

describe('what stands behind a number', () => {
  it('counts the same rows, and takes no word of an address for SQL', () => {
    const sql = behind({ kpi: 'messages_in', channel: "x' OR '1'='1", from: 0, to: DAY, title: '' }) ?? ''
    expect(sql).toContain("direction = 'inbound'")
    expect(sql).toContain("channel_id = 'x'' OR ''1''=''1'")
    expect(sql).toContain("created_at >= TIMESTAMP '1970-01-01T00:00:00.000Z'")
    expect(sql).toContain("created_at < TIMESTAMP '1970-01-02T00:00:00.000Z'")
  })
  it('credits people as the KPI does', () => {
    expect(behind({ kpi: 'messages_in', agent: 'a', title: '' })).toContain("assignee_id = 'a'")
    expect(behind({ kpi: 'messages_out', agent: 'a', title: '' })).toContain("agent_id = 'a'")
    expect(behind({ kpi: 'first_response', agent: 'a', least: 10, most: 30, title: '' })).toMatch(
      /kind = 'first_response' AND seconds > 10 AND seconds <= 30 AND agent_id = 'a'/,
    )
    expect(behind({ kpi: 'open', label: 'vip', title: '' })).toContain("array_has(c.labels, 'vip')")
    const delivered = behind({ kpi: 'delivery_rate', title: '' })
    expect(delivered).toContain("status IN ('delivered', 'read')")
    expect(delivered, 'a message that was seen has arrived once').toContain('count(DISTINCT message_id) AS amount')
  })
  it('is nothing for a number that no conversations stand behind', () => {
    expect(behind({ kpi: 'unheard_of', title: '' })).toBeUndefined()
    expect(behind({ kpi: 'constructor', title: '' })).toBeUndefined()
  })
  it('is read as UTC', () => {
    expect(utc('2026-11-22T21:00:00.000000')).toBe('2026-11-22T21:00:00.000000Z')
    expect(utc('2026-11-22 21:00:00')).toBe('2026-11-22T21:00:00Z')
    expect(utc('2026-11-22T21:00:00Z')).toBe('2026-11-22T21:00:00Z')
  })
  it('narrows the funnel by what is chosen', () => {
    expect(funnelSql(0, DAY, { channel: 'c' })).toContain("channel_id = 'c'")
  })
})

describe('an address of the board', () => {
  it('keeps what it knows and drops the rest', () => {
    expect(boardSearch({ range: 'week', channel: 'c', compare: 'true', wall: true, other: 1 })).toEqual({
      range: 'week',
      channel: 'c',
      compare: true,
      wall: true,
    })
    expect(boardSearch({ range: 'year', channel: 7, agent: '', compare: 'no' })).toEqual({})
  })
})

describe('the trail of a figure', () => {
  const board = (value: number | null) => ({
    as_of: '',
    revision: 1,
    workspace_id: 'w',
    values: [{ kpi: 'open', unit: 'conversations' as const, value }],
  })
  it('keeps a point every while, and no more than it may', () => {
    let trails: Trails = new Map()
    for (let n = 0; n < POINTS * 3; n += 1) trails = extended(trails, board(n), n * EVERY_MS)
    expect(trails.get('open/')).toHaveLength(POINTS)
    expect(trails.get('open/')?.at(-1)?.value).toBe(POINTS * 3 - 1)
  })
  it('lets a quick change take the place of the last', () => {
    let trails: Trails = new Map()
    for (const [n, value] of [1, 2, 3, null].entries()) trails = extended(trails, board(value), n * 100)
    expect(trails.get('open/')?.map((one) => one.value)).toEqual([1, 3])
  })
  it('is drawn inside its box', () => {
    expect(path([{ at: 0, value: 1 }])).toBeUndefined()
    expect(
      path([
        { at: 0, value: 1 },
        { at: 5, value: 3 },
        { at: 10, value: 2 },
      ]),
    ).toBe('M0.0 22.0L50.0 2.0L100.0 12.0')
    expect(
      path([
        { at: 0, value: 1 },
        { at: 0, value: 1 },
      ]),
    ).not.toContain('NaN')
  })
})

describe('numbers', () => {
  it('are written with their unit, in two units at most', async () => {
    // How units are cut short differs between versions of the browser's tables.
    expect(span(252)).toMatch(/^4 mins? 12 secs?$/)
    expect(span(3600)).toMatch(/^1 hrs?$/)
    expect(span(0)).toMatch(/^0 secs?$/)
    expect(span(90_061)).toMatch(/^1 days? 1 hrs?$/)
    expect(shortSpan(90)).toMatch(/^1\.5 mins?$/)
    expect(amount(null, 'count')).toBe('–')
    expect(amount(0.9623, 'ratio')).toBe('96.2%')
    expect(tick(12_345, 'count')).toMatch(/^12\.3\s?k$/i)
    expect(percent(0.5)).toBe('50%')
    await speak('ar', false)
    expect(span(252)).toMatch(/^4 د\S* 12 ث/)
    await speak('en', false)
  })
  it('name a bucket in the time of the workspace', () => {
    expect(bucketName('2026-11-22T21:00:00Z', 'day', 'Asia/Amman')).toMatch(/Mon.* 23 Nov/)
    expect(bucketName('2026-11-22T21:00:00Z', 'hour', 'Asia/Amman')).toBe('00:00')
  })
})

const look: Look = {
  colors: ['#111', '#222'],
  ink: '#000',
  soft: '#666',
  line: '#ddd',
  panel: '#fff',
  cold: '#eee',
  hot: '#0a0',
  good: '#0a0',
  bad: '#a00',
  font: 'sans-serif',
  rtl: false,
  scale: 1,
  still: false,
}
const words = { value: String, tick: String }

describe('a chart', () => {
  const figure = (kind: Figure['kind']): Figure => ({
    kind,
    unit: 'count',
    axis: 'k',
    categories: ['a', 'b'],
    series: [
      { name: 'x', values: [1, null] },
      { name: 'y', values: [2, 3], faint: true },
    ],
  })
  it('can be drawn in every kind, with no HTML in its hints', () => {
    for (const kind of KINDS) {
      const option = optionOf(figure(kind), look, words) as { series: unknown[]; tooltip?: { renderMode?: string } }
      expect(option.series.length, kind).toBeGreaterThan(0)
      if (kind !== 'gauge') expect(option.tooltip?.renderMode, kind).toBe('richText')
    }
  })
  it('begins rows where the page begins, and leaves time as it runs', () => {
    const rows = optionOf(figure('rows'), { ...look, rtl: true }, words) as { xAxis: { inverse: boolean } }
    const line = optionOf(figure('line'), { ...look, rtl: true }, words) as { xAxis: { inverse: boolean } }
    expect(rows.xAxis.inverse).toBe(true)
    expect(line.xAxis.inverse).toBe(false)
  })
  it('has an axis of durations with the steps of a clock', () => {
    expect([4, 47, 860, 5000, 900_000].map(clockStep)).toEqual([1, 10, 300, 1800, 259_200])
  })
  it('is the same as its table', () => {
    expect(asTable(figure('bar'))).toEqual({
      head: ['k', 'x', 'y'],
      rows: [
        ['a', 1, 2],
        ['b', null, 3],
      ],
    })
  })
  it('finds the point beside which somebody pressed', () => {
    const two = {
      ...figure('line'),
      series: [
        { name: 'x', values: [1, null] },
        { name: 'y', values: [8, 3] },
      ],
    }
    expect(nearest(two, 0.2, 2)).toEqual({ series: 0, category: 0 })
    expect(nearest(two, 0.9, 0)).toEqual({ series: 1, category: 1 })
    expect(nearest(two, 5, 0)).toBeUndefined()
    expect(nearest(figure('bar'), 0, 0)).toBeUndefined()
  })
  it('knows what was hit, and when there is nothing to draw', () => {
    expect(pointOf(figure('bar'), { seriesIndex: 1, dataIndex: 0 })).toEqual({ series: 1, category: 0 })
    expect(pointOf(figure('heatmap'), { value: [5, 2, 9] })).toEqual({ category: 5, series: 2 })
    expect(isEmpty({ ...figure('line'), series: [] })).toBe(true)
    expect(isEmpty({ ...figure('line'), series: [{ name: 'x', values: [0, null] }] })).toBe(true)
    expect(isEmpty(figure('line'))).toBe(false)
  })
})
