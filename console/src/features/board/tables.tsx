// biome-ignore-all lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
/** The figures of now, by channel and by agent. */
import type { KpiValue } from '../../api/types'
import { useSeconds } from '../../app/clock'
import { amount, unitOf } from '../../data/format'
import type { Definition } from '../../data/kpi'
import { t } from '../../i18n'
import { type Behind, behind } from './drill'
import { titleOf } from './names'
import { cellAmount, DAILY, tilesOf } from './tiles'

interface Props {
  title: string
  of: 'channel' | 'agent'
  rows: { id: string; name: string }[]
  cells: ReadonlyMap<string, KpiValue>
  known: ReadonlyMap<string, Definition>
  onBehind: (what: Behind) => void
}

export function Table({ title, of, rows, cells, known, onBehind }: Props) {
  const now = useSeconds()
  const columns = tilesOf(cells).filter((kpi) => rows.some((row) => cells.has(`${kpi}/${row.id}`)))
  if (rows.length === 0) return null
  return (
    <section
      tabIndex={0}
      aria-label={title}
      className="relative overflow-x-auto rounded-xl border border-line bg-panel"
    >
      <table className="w-full min-w-max text-start text-[13px]">
        <caption className="px-4 pb-2 pt-3 text-start text-[14px] font-semibold">{title}</caption>
        <thead className="text-xs text-soft">
          <tr>
            <td />
            {columns.map((kpi) => (
              <th key={kpi} scope="col" className="px-4 py-2 text-end font-medium">
                {titleOf(kpi, known)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id} className="border-t border-line hover:bg-hover">
              <th scope="row" className="px-4 py-2 text-start font-medium">
                <bdi>{row.name}</bdi>
              </th>
              {columns.map((kpi) => {
                const cell = cells.get(`${kpi}/${row.id}`)
                const value = cellAmount(cell, now)
                const text = amount(value, unitOf(cell?.unit ?? 'count'))
                const name = `${titleOf(kpi, known)} · ${row.name}`
                const what: Behind = {
                  kpi,
                  [of]: row.id,
                  title: name,
                  ...(DAILY.includes(kpi) ? { from: now - 86_400_000 } : {}),
                }
                return (
                  <td key={kpi} className="px-4 py-2 text-end tabular-nums">
                    {(value ?? 0) > 0 && behind(what) ? (
                      <button
                        type="button"
                        className="rounded hover:text-brand hover:underline"
                        title={t('board.behind')}
                        onClick={() => onBehind(what)}
                      >
                        {text}
                      </button>
                    ) : (
                      text
                    )}
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}
