/** The SQL that the hub runs: PostgreSQL's, with the words and functions that its gate lets through, and no others. */
import type { CompletionSource } from '@codemirror/autocomplete'
import { PostgreSQL, SQLDialect } from '@codemirror/lang-sql'
import type { Table } from './index'

const KEYWORDS =
  'select from where group by having order limit offset join left right full inner outer cross on using as and or not in is null like ilike between case when then else end distinct union all intersect except with recursive over partition rows range unbounded preceding following current row asc desc nulls first last cast extract true false filter grouping sets rollup cube exists any interval'

const FUNCTIONS =
  'count sum avg min max median approx_distinct approx_median approx_percentile_cont percentile_cont stddev stddev_pop stddev_samp corr bool_and bool_or first_value last_value nth_value array_agg string_agg hist_merge hist_quantile local_bucket row_number rank dense_rank percent_rank cume_dist ntile lag lead abs ceil floor round trunc sqrt exp ln log log2 log10 power greatest least lower upper length trim ltrim rtrim left right substr strpos starts_with ends_with contains split_part concat concat_ws initcap now current_date date_trunc date_part date_bin to_char to_date to_timestamp to_unixtime coalesce nullif array_has array_has_any array_has_all array_length array_to_string unnest regexp_like regexp_match regexp_count'

const TYPES = 'bigint integer smallint double precision real numeric boolean varchar text date timestamp interval'

export const dialect = SQLDialect.define({
  ...PostgreSQL.spec,
  keywords: KEYWORDS,
  builtin: FUNCTIONS,
  types: TYPES,
})

/** The tables that a query reads, as far as its text says so already. */
export function tablesIn(text: string, tables: readonly Table[]): Table[] {
  const named = new Set<string>()
  for (const found of text.matchAll(/\b(?:from|join)\s+"?([a-z_][a-z0-9_]*)"?/gi))
    named.add((found[1] ?? '').toLowerCase())
  return tables.filter((one) => named.has(one.name))
}

/** The columns of the tables that the query reads, wherever a word is being written that no point stands before. */
export const columnsOf =
  (tables: () => readonly Table[]): CompletionSource =>
  (context) => {
    const word = context.matchBefore(/[\w.]*/)
    if (!word || word.text.includes('.') || (word.from === word.to && !context.explicit)) return null
    const read = tablesIn(context.state.doc.toString(), tables())
    if (read.length === 0) return null
    const seen = new Set<string>()
    const options = read.flatMap((table) =>
      table.columns.flatMap((column) => {
        if (seen.has(column.name)) return []
        seen.add(column.name)
        const info = column.meaning ? { info: column.meaning } : {}
        return [{ label: column.name, type: 'property', detail: column.type, boost: 2, ...info }]
      }),
    )
    return { from: word.from, options, validFor: /^\w*$/ }
  }
