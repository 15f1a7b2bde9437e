/** A chart out of a result: which kinds fit its columns, and the figure of one. */

import type { Figure, Kind, Series } from '../ui/chart/figure'
import { type Shape, type SqlAnswer, shapeOf } from './sql'

export interface Wish {
  kind: Kind
  /** The column of the categories. */
  category: number
  /** The columns of the values; several make several series. */
  values: number[]
  /** A column whose values make the series of a single column of values. */
  split: number | undefined
}

/** The kinds that a result can be drawn as here. */
export const DRAWN = ['line', 'area', 'bar', 'rows', 'stacked', 'donut', 'histogram', 'heatmap', 'funnel'] as const

/** The most categories and series that are drawn: more than that nobody can read. */
export const CATEGORIES_MOST = 500
export const SERIES_MOST = 12

export const shapes = (answer: SqlAnswer): Shape[] => answer.columns.map((one) => shapeOf(one.data_type))

/** What is proposed first: time as a line, few texts as a donut or rows; nothing if no column holds numbers. */
export function proposed(answer: SqlAnswer): Wish | undefined {
  const all = shapes(answer)
  const numbers = all.flatMap((shape, at) => (shape === 'number' ? [at] : []))
  const time = all.indexOf('time')
  const texts = all.flatMap((shape, at) => (shape === 'text' || shape === 'truth' ? [at] : []))
  const [first] = numbers
  if (first === undefined || answer.rows.length === 0) return undefined
  if (time >= 0) {
    const split = texts[0]
    return split === undefined
      ? { kind: 'line', category: time, values: numbers.slice(0, SERIES_MOST), split: undefined }
      : { kind: 'stacked', category: time, values: [first], split }
  }
  const [text, second] = texts
  if (text !== undefined) {
    if (second !== undefined) return { kind: 'stacked', category: text, values: [first], split: second }
    return {
      kind: answer.rows.length > 6 ? 'rows' : 'bar',
      category: text,
      values: numbers.slice(0, 4),
      split: undefined,
    }
  }
  const [, other] = numbers
  if (other === undefined) return { kind: 'bar', category: first, values: [first], split: undefined }
  return { kind: 'bar', category: first, values: numbers.slice(1, 1 + SERIES_MOST), split: undefined }
}

const asNumber = (value: unknown): number | null => {
  if (value === null || value === undefined || value === '') return null
  const number = Number(value)
  return Number.isFinite(number) ? number : null
}

export interface Drawn {
  figure: Figure
  /** Not everything fits. */
  cut: boolean
}

/** The figure of a wish; `name` writes a category's or a series' value. */
export function drawn(answer: SqlAnswer, wish: Wish, name: (value: unknown, column: number) => string): Drawn {
  const rows = answer.rows
  const axis = answer.columns[wish.category]?.name ?? ''
  const places = new Map<string, number>()
  const categories: string[] = []
  let cut = false
  const placeOf = (value: unknown): number | undefined => {
    const key = JSON.stringify(value ?? null)
    const known = places.get(key)
    if (known !== undefined) return known
    if (categories.length >= CATEGORIES_MOST) {
      cut = true
      return undefined
    }
    places.set(key, categories.length)
    categories.push(name(value, wish.category))
    return categories.length - 1
  }
  const series = new Map<string, Series>()
  const put = (key: string, title: string, place: number, value: number | null) => {
    let one = series.get(key)
    if (!one) {
      if (series.size >= SERIES_MOST) {
        cut = true
        return
      }
      one = { name: title, values: [] }
      series.set(key, one)
    }
    const before = one.values[place]
    one.values[place] = value === null ? (before ?? null) : (before ?? 0) + value
  }
  for (const row of rows) {
    const place = placeOf(row[wish.category])
    if (place === undefined) continue
    if (wish.split !== undefined) {
      const value = row[wish.split]
      put(JSON.stringify(value ?? null), name(value, wish.split), place, asNumber(row[wish.values[0] ?? 0]))
    } else {
      for (const at of wish.values) put(String(at), answer.columns[at]?.name ?? '', place, asNumber(row[at]))
    }
  }
  const all = [...series.values()].map((one) => ({
    ...one,
    values: categories.map((_, place) => one.values[place] ?? null),
  }))
  const single = wish.kind === 'donut' || wish.kind === 'funnel'
  return { figure: { kind: wish.kind, unit: 'count', axis, categories, series: single ? all.slice(0, 1) : all }, cut }
}
