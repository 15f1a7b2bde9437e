import { describe, expect, it } from 'vitest'
import { asObjects, csv, field, fileName } from '../../data/files'
import { library, note, PINNED_MOST, pinnedIn, RAN_MOST, save, unpin, unsave } from '../../data/library'
import { packed, unpacked } from '../../data/link'
import { CATEGORIES_MOST, drawn, proposed } from '../../data/shape'
import { quoted, type SqlAnswer, shapeOf, tablesOf, timeWritten, written } from '../../data/sql'
import { tablesIn } from '../../ui/code-editor/dialect'
import { compared, ordered } from '../../ui/grid'
import { shell, snippet } from './snippets'

describe('the library', () => {
  const empty = library({})
  it('takes whatever was stored', () => {
    for (const raw of [null, 7, 'x', [], { saved: 3, ran: [1, null, {}], draft: 5 }]) {
      expect(library(raw)).toEqual({ draft: '', saved: [], ran: [] })
    }
    expect(library({ saved: [{ id: '1', name: 'a', sql: 'SELECT 1' }, { id: 2 }] }).saved).toHaveLength(1)
  })
  it('keeps how a query is drawn on the board, and no more of them than it may', () => {
    const wish = { kind: 'line', category: 0, values: [1], split: undefined } as const
    let all = empty
    for (let n = 0; n < PINNED_MOST + 2; n += 1) {
      all = save(all, { id: `${n}`, name: `${n}`, sql: 'SELECT 1', at: n, pinned: { ...wish, values: [1] } })
    }
    const stored = library(JSON.parse(JSON.stringify(all)))
    expect(pinnedIn(stored)).toHaveLength(PINNED_MOST)
    expect(pinnedIn(stored)[0]?.pinned).toEqual(wish)
    const first = pinnedIn(stored)[0]?.id ?? ''
    expect(pinnedIn(unpin(stored, first)).map((one) => one.id)).not.toContain(first)
    expect(unpin(stored, first).saved).toHaveLength(PINNED_MOST + 2)
    const strange = { id: 'x', name: 'x', sql: 'x', pinned: { kind: 'pie', category: 0, values: [1] } }
    expect(library({ saved: [strange] }).saved[0]?.pinned).toBeUndefined()
  })
  it('replaces a query of the same name, and removes one', () => {
    const one = save(empty, { id: '1', name: 'a', sql: 'SELECT 1', at: 1 })
    const two = save(one, { id: '2', name: 'a', sql: 'SELECT 2', at: 2 })
    expect(two.saved.map((each) => each.id)).toEqual(['2'])
    expect(unsave(two, '2').saved).toEqual([])
  })
  it('notes a text once, newest first, and no more than it may', () => {
    let all = empty
    for (let n = 0; n < RAN_MOST + 5; n += 1) all = note(all, { sql: `SELECT ${n}`, at: n, rows: 1, ms: 1 })
    all = note(all, { sql: ` SELECT ${RAN_MOST} `, at: 99, rows: 2, ms: 1 })
    expect(all.ran).toHaveLength(RAN_MOST)
    expect(all.ran[0]?.at).toBe(99)
    expect(all.ran.filter((one) => one.sql.trim() === `SELECT ${RAN_MOST}`)).toHaveLength(1)
  })
  it('shares a query in an address, in any script', () => {
    for (const sql of ['SELECT 1', "SELECT 'مرحبا 👋' -- ?&=#"]) expect(unpacked(`#${packed(sql)}`)).toBe(sql)
    for (const bad of ['', '#', '#q=', '#q=%%', '#other']) expect(unpacked(bad)).toBeUndefined()
  })
})

const answer = (columns: [string, string][], rows: unknown[][]): SqlAnswer => ({
  columns: columns.map(([name, data_type]) => ({ name, data_type })),
  rows,
  truncated: false,
})
const name = (value: unknown) => String(value)

describe('a chart of a result', () => {
  it('is a line over time, one for each column of numbers', () => {
    const result = answer(
      [
        ['hour', 'Timestamp(Microsecond, Some("UTC"))'],
        ['in', 'Int64'],
        ['out', 'Int64'],
      ],
      [
        ['10', 1, 2],
        ['11', null, 3],
      ],
    )
    const wish = proposed(result)
    expect(wish).toEqual({ kind: 'line', category: 0, values: [1, 2], split: undefined })
    const { figure } = drawn(result, wish as NonNullable<typeof wish>, name)
    expect(figure.categories).toEqual(['10', '11'])
    expect(figure.series.map((one) => one.values)).toEqual([
      [1, null],
      [2, 3],
    ])
  })
  it('splits by a text, and leaves holes where nothing was', () => {
    const result = answer(
      [
        ['day', 'Date32'],
        ['channel', 'Utf8'],
        ['n', 'Int64'],
      ],
      [
        ['1', 'a', 1],
        ['1', 'b', 2],
        ['2', 'b', 3],
        ['2', 'b', 4],
      ],
    )
    const wish = proposed(result)
    expect(wish?.kind).toBe('stacked')
    const { figure } = drawn(result, wish as NonNullable<typeof wish>, name)
    expect(figure.series).toEqual([
      { name: 'a', values: [1, null] },
      { name: 'b', values: [2, 7] },
    ])
  })
  it('is none without a number, and says when not everything fits', () => {
    expect(proposed(answer([['a', 'Utf8']], [['x']]))).toBeUndefined()
    const many = answer(
      [
        ['k', 'Utf8'],
        ['n', 'Int64'],
      ],
      Array.from({ length: CATEGORIES_MOST + 1 }, (_, n) => [`k${n}`, n]),
    )
    const result = drawn(many, { kind: 'rows', category: 0, values: [1], split: undefined }, name)
    expect(result.cut).toBe(true)
    expect(result.figure.categories).toHaveLength(CATEGORIES_MOST)
  })
})

describe('values', () => {
  it('are told apart by the type that Arrow gives', () => {
    expect(['Int64', 'Float64', 'Decimal128(1, 2)', 'UInt8'].map(shapeOf)).toEqual(Array(4).fill('number'))
    expect(shapeOf('Timestamp(Microsecond, Some("UTC"))')).toBe('time')
    expect(shapeOf('Boolean')).toBe('truth')
    expect(shapeOf('List(Utf8)')).toBe('text')
  })
  it('are written so that they can be read', () => {
    expect(timeWritten('2026-11-22T21:00:00.000000Z')).toBe('2026-11-22 21:00')
    expect(timeWritten('2026-11-22T21:00:05.250000Z')).toBe('2026-11-22 21:00:05.25')
    expect(timeWritten('yesterday')).toBe('yesterday')
    expect(written(['a', null, 1])).toBe('a, , 1')
  })
  it('are sorted with nothing last, whichever way', () => {
    const rows = [[3], [null], [10], [2]]
    expect(ordered(rows, undefined)).toEqual([0, 1, 2, 3])
    expect(ordered(rows, { column: 0, down: false })).toEqual([3, 0, 2, 1])
    expect(ordered(rows, { column: 0, down: true })).toEqual([2, 0, 3, 1])
    expect(compared('b', 'a')).toBe(1)
  })
  it('cannot end a text of SQL', () => {
    expect(quoted("it's")).toBe("'it''s'")
  })
})

describe('files', () => {
  it('hold CSV that is no formula, and JSON that loses no column', () => {
    expect(field('=1+1')).toBe("'=1+1")
    expect(field('+966501234567')).toBe('+966501234567')
    expect(field('a"b,c')).toBe('"a""b,c"')
    expect(field(-1)).toBe('-1')
    expect(csv(['a'], [[null]])).toBe('\ufeffa\r\n\r\n')
    expect(asObjects([{ name: 'n' }, { name: 'n' }], [[1, 2]])).toEqual([{ n: 1, n_2: 2 }])
    expect(fileName('أول رد / p50', 'csv', new Date(2026, 0, 5))).toBe('أول-رد-p50-2026-01-05.csv')
  })
})

describe('the catalogue', () => {
  it('becomes tables with their columns', () => {
    const tables = tablesOf([
      ['messages', 'seq', 'int64', 'number', 'Its number.'],
      ['messages', 'text', 'text', 'text', 'What it says.'],
      ['cells', 'minute', 'timestamp_us_utc', 'UTC', 'The minute.'],
    ])
    expect(tables.map((one) => one.name)).toEqual(['messages', 'cells'])
    expect(tables[0]?.columns.map((one) => one.meaning)).toEqual(['Its number. (number)', 'What it says.'])
  })
})

describe('completion', () => {
  it('knows the tables that a query reads', () => {
    const tables = ['messages', 'conversations', 'labels'].map((table) => ({ name: table, columns: [] }))
    const text = 'SELECT x FROM Messages m\nLEFT JOIN "conversations" c ON true WHERE fromage = 1'
    expect(tablesIn(text, tables).map((one) => one.name)).toEqual(['messages', 'conversations'])
    expect(tablesIn('SELECT 1', tables)).toEqual([])
  })
})

describe('a query elsewhere', () => {
  it('is quoted for a shell and for a program', () => {
    expect(shell("it's")).toBe(`'it'\\''s'`)
    const sql = `SELECT 'a"b'\nFROM messages`
    expect(snippet('curl', 'https://hub.example', sql)).toContain(
      `-d '{"sql":"SELECT '\\''a\\"b'\\''\\nFROM messages"}'`,
    )
    for (const program of ['python', 'pandas', 'r'] as const) {
      const text = snippet(program, 'https://hub.example', sql)
      expect(text).toContain(JSON.stringify(sql))
      expect(text).toContain('SALER_TOKEN')
    }
  })
})
