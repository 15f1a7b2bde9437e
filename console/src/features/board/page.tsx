import { ChartColumn } from 'lucide-react'
import { useMemo } from 'react'
import { useStore } from 'zustand'
import type { KpiValue } from '../../api/types'
import { useSeconds } from '../../app/clock'
import { figure, KPIS, type KpiName } from '../../app/figures'
import { live, seesBoard, useDesk } from '../../app/live'
import { useAgents, useChannels } from '../../app/people'
import { language, t } from '../../i18n'
import { clock } from '../../i18n/format'
import { Blank, Skeleton } from '../../ui/state'

const ALERT: Partial<Record<KpiName, boolean>> = { unassigned: true, oldest_wait_seconds: true }

export function BoardPage() {
  useStore(language, (state) => state.language)
  const board = useDesk((state) => state.board)
  const now = useSeconds()
  const agents = useAgents()
  const channels = useChannels()
  const cells = useMemo(() => {
    const all = new Map<string, KpiValue>()
    for (const value of board?.values ?? []) all.set(`${value.kpi}/${value.channel_id ?? value.agent_id ?? ''}`, value)
    return all
  }, [board])
  if (!seesBoard(live().me)) return <Blank icon={<ChartColumn />} title={t('board.forbidden')} />
  if (!board) return <Skeleton rows={4} label={t('board.waiting')} />
  const ids = (of: 'channel_id' | 'agent_id') => [...new Set(board.values.flatMap((value) => value[of] ?? []))]
  return (
    <div className="h-full overflow-y-auto p-4 sm:p-6">
      <div className="mx-auto max-w-6xl space-y-6">
        <div className="flex items-baseline justify-between">
          <h1 className="text-lg font-semibold">{t('board.title')}</h1>
          <p className="text-xs text-soft">{t('board.asOf', { time: clock(board.as_of) })}</p>
        </div>
        <dl className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-5">
          {KPIS.filter((kpi) => cells.has(`${kpi}/`)).map((kpi) => {
            const value = cells.get(`${kpi}/`)
            const loud = ALERT[kpi] && (value?.since || (value?.value ?? 0) > 0)
            return (
              <div key={kpi} className="rounded-xl border border-line bg-panel p-4">
                <dt className="text-xs text-soft">{t(`kpi.${kpi}`)}</dt>
                <dd className={`mt-1 text-2xl font-semibold tabular-nums ${loud ? 'text-warn' : ''}`}>
                  {figure(value, now)}
                </dd>
              </div>
            )
          })}
        </dl>
        <Table
          title={t('board.byChannel')}
          rows={ids('channel_id').map((id) => ({ id, name: channels.get(id)?.name ?? id.slice(0, 8) }))}
          cells={cells}
          now={now}
        />
        <Table
          title={t('board.byAgent')}
          rows={ids('agent_id').map((id) => ({ id, name: agents.get(id)?.name ?? id.slice(0, 8) }))}
          cells={cells}
          now={now}
        />
      </div>
    </div>
  )
}

interface TableProps {
  title: string
  rows: { id: string; name: string }[]
  cells: Map<string, KpiValue>
  now: number
}

function Table({ title, rows, cells, now }: TableProps) {
  const columns = KPIS.filter((kpi) => rows.some((row) => cells.has(`${kpi}/${row.id}`)))
  if (rows.length === 0) return null
  return (
    <section className="overflow-x-auto rounded-xl border border-line bg-panel">
      <table className="w-full min-w-max text-start">
        <caption className="px-4 pt-3 pb-2 text-start font-semibold">{title}</caption>
        <thead className="text-xs text-soft">
          <tr>
            <th scope="col" />
            {columns.map((kpi) => (
              <th key={kpi} scope="col" className="px-4 py-2 text-end font-medium">
                {t(`kpi.${kpi}`)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id} className="border-t border-line">
              <th scope="row" className="px-4 py-2 text-start font-medium">
                <bdi>{row.name}</bdi>
              </th>
              {columns.map((kpi) => (
                <td key={kpi} className="px-4 py-2 text-end tabular-nums">
                  {figure(cells.get(`${kpi}/${row.id}`), now)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}
