/** Queries that were pinned in the workbench, as they are now: asked anew when the hub pushes that something changed. */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Database, PinOff } from 'lucide-react'
import { useMemo, useState } from 'react'
import { type Failure, failure } from '../../api/client'
import { live } from '../../app/live'
import { PageLink } from '../../app/page-link'
import { keyOf } from '../../data/ask'
import { pinnedIn, read, type Saved, unpin, write } from '../../data/library'
import { packed } from '../../data/link'
import { drawn, proposed, shapes } from '../../data/shape'
import { runSql, type SqlAnswer, shapeOf, timeWritten, written } from '../../data/sql'
import { t } from '../../i18n'
import { number } from '../../i18n/format'
import { IconButton } from '../../ui/button'
import type { Figure } from '../../ui/chart/figure'
import { Card } from './card'

/** A query is not asked again sooner than this, however much changes: each costs the hub a process. */
const AT_MOST_EVERY_MS = 15_000
/** Rows of a result that is neither a number nor a chart. */
const ROWS = 8

/** An answer is news once the board was pushed again, and some time has passed. */
function useAnswer(sql: string, asOf: string): { answer: SqlAnswer | undefined; failed: Failure | undefined } {
  const turn = Math.floor(Date.parse(asOf) / AT_MOST_EVERY_MS)
  const { data, error } = useQuery<SqlAnswer>({
    queryKey: keyOf('pinned', sql, turn),
    queryFn: ({ signal }) => runSql(sql, signal),
    // Until the next answer is there, the one before it stands.
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: AT_MOST_EVERY_MS,
    retry: 1,
  })
  return { answer: data, failed: error ? failure(error) : undefined }
}

/** The one number that a result is, if it is one. */
export function single(answer: SqlAnswer): number | undefined {
  if (answer.rows.length !== 1 || answer.columns.length !== 1) return undefined
  const value = answer.rows[0]?.[0]
  const isNumber = shapeOf(answer.columns[0]?.data_type ?? '') === 'number'
  return isNumber && value !== null && value !== undefined ? Number(value) : undefined
}

function figureOf(one: Saved, answer: SqlAnswer | undefined): Figure | undefined {
  if (!answer) return undefined
  const kept = one.pinned === true ? undefined : one.pinned
  // Columns may be others than when it was pinned.
  const fits = kept && [kept.category, ...kept.values, kept.split ?? 0].every((at) => at < answer.columns.length)
  const wish = fits ? kept : proposed(answer)
  if (!wish) return undefined
  const all = shapes(answer)
  return drawn(answer, wish, (value, at) => (all[at] === 'time' ? timeWritten(value) : written(value) || '–')).figure
}

export default function Pinned({ asOf }: { asOf: string }) {
  const { me } = live()
  const [library, set] = useState(() => read(me.workspace_id, me.user_id))
  const pinned = pinnedIn(library)
  if (pinned.length === 0) return null
  const remove = (id: string) => {
    const next = unpin(read(me.workspace_id, me.user_id), id)
    write(me.workspace_id, me.user_id, next)
    set(next)
  }
  return (
    <section aria-label={t('board.pinned')} className="space-y-3">
      <h2 className="font-semibold">{t('board.pinned')}</h2>
      <div className="grid gap-4 lg:grid-cols-2 xl:grid-cols-3">
        {pinned.map((one) => (
          <Tile key={one.id} one={one} asOf={asOf} remove={() => remove(one.id)} />
        ))}
      </div>
    </section>
  )
}

function Tile({ one, asOf, remove }: { one: Saved; asOf: string; remove: () => void }) {
  const { answer, failed } = useAnswer(one.sql, asOf)
  const figure = useMemo(() => figureOf(one, answer), [one, answer])
  const value = answer && single(answer)
  const tools = (
    <div className="absolute end-2 top-12 flex gap-1 opacity-0 focus-within:opacity-100 group-hover:opacity-100">
      <PageLink
        to="/sql"
        hash={packed(one.sql)}
        className="grid size-7 place-items-center rounded-md border border-line bg-raised text-soft hover:text-ink"
        label={t('board.openSql', { name: one.name })}
      >
        <Database size={14} aria-hidden />
      </PageLink>
      <IconButton
        label={t('board.unpin', { name: one.name })}
        className="border border-line bg-raised"
        onClick={remove}
      >
        <PinOff size={14} aria-hidden />
      </IconButton>
    </div>
  )
  const isPlain = answer && !failed && (value !== undefined || !figure)
  return (
    <div className="group relative min-w-0">
      {isPlain ? (
        <section
          aria-label={one.name}
          className="h-80 overflow-auto rounded-xl border border-line bg-panel px-4 py-2.5"
        >
          <h3 className="truncate font-semibold">
            <bdi>{one.name}</bdi>
          </h3>
          {value === undefined ? (
            <Rows answer={answer} />
          ) : (
            <p className="grid h-56 place-content-center text-5xl font-semibold tabular-nums">{number(value)}</p>
          )}
        </section>
      ) : (
        <Card
          title={one.name}
          meaning={<code className="whitespace-pre-wrap text-xs">{one.sql}</code>}
          figure={failed ? undefined : figure}
          failed={failed}
          wall={false}
        />
      )}
      {tools}
    </div>
  )
}

function Rows({ answer }: { answer: SqlAnswer }) {
  return (
    <table className="mt-2 w-full text-[13px]">
      <thead>
        <tr>
          {answer.columns.map((one) => (
            <th key={one.name} scope="col" className="truncate px-1 text-start font-medium text-soft">
              {one.name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {answer.rows.slice(0, ROWS).map((row, at) => (
          <tr key={at} className="border-t border-line">
            {row.map((value, column) => (
              <td key={column} className="truncate px-1 py-1" dir="auto">
                {shapeOf(answer.columns[column]?.data_type ?? '') === 'time' ? timeWritten(value) : written(value)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}
