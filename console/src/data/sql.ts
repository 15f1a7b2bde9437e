/** SQL over the workspace's own tables, and what of the answers the pages need. */

import { useQuery } from '@tanstack/react-query'
import { failure } from '../api/client'
import type { Table } from '../ui/code-editor'
import { ask, fetched, keyOf } from './ask'

export interface SqlColumn {
  name: string
  data_type: string
}

export interface SqlAnswer {
  columns: SqlColumn[]
  rows: unknown[][]
  truncated: boolean
}

/** The longest query that the hub takes, in bytes. */
export const SQL_MOST_BYTES = 16_384

export const runSql = (sql: string, signal?: AbortSignal): Promise<SqlAnswer> =>
  ask<SqlAnswer>('POST', '/api/v1/sql', { body: { sql }, ...(signal ? { signal } : {}) })

export const csvOfSql = async (sql: string): Promise<Blob> =>
  (await fetched('POST', '/api/v1/sql', { body: { sql }, accept: 'text/csv' })).blob()

/** A text as SQL writes it. */
export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** An instant as SQL takes it. */
export const instant = (at: number | string): string => `TIMESTAMP ${quoted(new Date(at).toISOString())}`

export type Shape = 'number' | 'time' | 'truth' | 'text'

/** What kind of values a column holds, by the name that Arrow gives its type. */
export function shapeOf(type: string): Shape {
  if (/^(U?Int|Float|Decimal|Double)/i.test(type)) return 'number'
  if (/^(Timestamp|Date)/i.test(type)) return 'time'
  return /^Bool/i.test(type) ? 'truth' : 'text'
}

/** The rows of the catalogue, one a column, as tables. */
export function tablesOf(rows: readonly (readonly unknown[])[], about: readonly (readonly unknown[])[] = []): Table[] {
  const all = new Map<
    string,
    { name: string; about: string; columns: { name: string; type: string; meaning: string }[] }
  >()
  const sentences = new Map(about.map(([table, sentence]) => [String(table), String(sentence ?? '')]))
  for (const [table, column, type, unit, meaning] of rows) {
    const name = String(table)
    const one = all.get(name) ?? { name, about: sentences.get(name) ?? '', columns: [] }
    all.set(name, one)
    const sense = [meaning, unit && unit !== type ? `(${unit})` : ''].filter(Boolean).join(' ')
    one.columns.push({ name: String(column), type: String(type), meaning: sense })
  }
  return [...all.values()]
}

/** The tables that this workspace can read. */
export function useTables() {
  const { data, error, refetch } = useQuery({
    queryKey: keyOf('sql', 'tables'),
    queryFn: async () => {
      const [columns, about] = await Promise.all([
        runSql('SELECT table_name, column_name, type, unit, meaning FROM catalogue'),
        // What a row is: an extra, without which the tables are still shown.
        runSql('SELECT table_name, about FROM catalogue_tables').catch(() => undefined),
      ])
      return tablesOf(columns.rows, about?.rows)
    },
    staleTime: Number.POSITIVE_INFINITY,
    retry: (count, one) => count < 2 && failure(one).temporary,
  })
  return { tables: data, failed: error ? failure(error) : undefined, again: () => void refetch() }
}

/** A value of an answer as it is shown; numbers as they are, so that they can be compared and copied. */
export function written(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.map(written).join(', ')
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}

/** An instant without what says nothing: `2026-11-22 21:00`. */
export function timeWritten(value: unknown): string {
  const text = String(value ?? '')
  const found = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(:\d{2})?(\.\d+)?(Z|\+00:?00)?$/.exec(text)
  if (!found) return text
  const [, day = '', minute = '', second = '', part = ''] = found
  const rest = /^\.?0*$/.test(part) ? '' : part.replace(/0+$/, '')
  return `${day} ${minute}${second === ':00' && !rest ? '' : second}${rest}`
}
