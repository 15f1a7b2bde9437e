/** The figures of now, as the hub pushes them. */
import type { KpiValue } from '../../api/types'
import { useSeconds } from '../../app/clock'
import { amount, unitOf } from '../../data/format'
import type { Definition } from '../../data/kpi'
import { t } from '../../i18n'
import { Hint } from '../../ui/hint'
import type { Behind } from './drill'
import { behind } from './drill'
import { meaningOf, titleOf } from './names'
import { path, type Trails } from './trail'

/** What stands on the board, in its order; what the hub does not push is left out. */
export const TILES = [
  'open',
  'unassigned',
  'waiting',
  'oldest_wait_seconds',
  'first_response',
  'first_response_p50',
  'first_response_p90',
  'reply_time',
  'messages_in',
  'messages_out',
  'resolved',
  'delivery_rate',
] as const

/** Percentiles of their own give way to the figure that brings all of them. */
export function tilesOf(cells: ReadonlyMap<string, KpiValue>): (typeof TILES)[number][] {
  const whole = cells.has('first_response/')
  return TILES.filter((kpi) => cells.has(`${kpi}/`) && !(whole && kpi.startsWith('first_response_')))
}

/** Figures that call for somebody as soon as they are not zero. */
const LOUD: readonly string[] = ['unassigned', 'oldest_wait_seconds']

/** Counts over the last 24 hours, not of now. */
export const DAILY: readonly string[] = [
  'messages_in',
  'messages_out',
  'resolved',
  'first_response',
  'first_response_p50',
  'first_response_p90',
  'reply_time',
  'delivery_rate',
]

/** How many fit side by side on a wall. */
const ON_WALL = 8

type Cell = KpiValue & { p90?: number | null; count?: number | null }

/** The amount of a cell; a wait goes on while one looks. */
export function cellAmount(cell: Cell | undefined, now: number): number | null {
  if (cell?.since) return Math.max(0, (now - Date.parse(cell.since)) / 1000)
  return cell?.value ?? null
}

interface Props {
  cells: ReadonlyMap<string, KpiValue>
  /** The channel or the agent that is looked at; empty for all. */
  scope: string
  trails: Trails
  known: ReadonlyMap<string, Definition>
  wall: boolean
  onBehind: (what: Behind) => void
}

export function Tiles({ cells, scope, trails, known, wall, onBehind }: Props) {
  // Here alone: what follows the clock is drawn anew each second, charts are not.
  const now = useSeconds()
  const shown = tilesOf(cells).slice(0, wall ? ON_WALL : undefined)
  return (
    <dl
      className={
        wall
          ? 'grid grid-cols-2 gap-4 sm:grid-cols-4 lg:grid-flow-col lg:auto-cols-fr lg:grid-cols-none'
          : 'grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-4 xl:grid-cols-5'
      }
    >
      {shown.map((kpi) => {
        const cell = cells.get(`${kpi}/${scope}`) as Cell | undefined
        const value = cellAmount(cell, now)
        const unit = unitOf(cell?.unit ?? 'count')
        const loud = LOUD.includes(kpi) && (value ?? 0) > 0
        const line = path(trails.get(`${kpi}/${scope}`) ?? [])
        const title = titleOf(kpi, known)
        const can = behind({ kpi, title }) !== undefined && (value ?? 0) > 0
        const text = amount(value, unit, 'narrow')
        return (
          <div key={kpi} className="relative flex flex-col overflow-hidden rounded-xl border border-line bg-panel p-4">
            <dt className={`flex items-center justify-between gap-1 text-soft ${wall ? 'text-sm' : 'text-xs'}`}>
              <span className="truncate">{title}</span>
              {!wall && (
                <Hint label={t('board.whatIs', { name: title })}>
                  <p className="font-medium">{title}</p>
                  <p className="mt-1 text-soft">{meaningOf(kpi, known)}</p>
                </Hint>
              )}
            </dt>
            <dd
              className={`font-semibold tabular-nums truncate ${wall ? 'text-2xl 2xl:text-4xl' : 'text-2xl'} ${loud ? 'text-warn' : ''}`}
            >
              {can && !wall ? (
                <button
                  type="button"
                  title={t('board.behind')}
                  className="rounded hover:text-brand"
                  onClick={() => onBehind({ kpi, title, ...(DAILY.includes(kpi) ? { from: now - 86_400_000 } : {}) })}
                >
                  {text}
                </button>
              ) : (
                text
              )}
            </dd>
            <dd className="mt-1 flex h-6 items-end justify-between gap-2 text-[11px] text-soft">
              <span className="truncate">
                {cell?.p90 !== undefined && cell.p90 !== null
                  ? t('board.p90', { value: amount(cell.p90, unit, 'narrow') })
                  : DAILY.includes(kpi)
                    ? t('board.lastDay')
                    : t('board.rightNow')}
              </span>
              {line && !wall && (
                <svg
                  viewBox="0 0 100 24"
                  preserveAspectRatio="none"
                  className="h-6 w-20 shrink-0 text-brand"
                  aria-hidden
                >
                  <path
                    d={line}
                    fill="none"
                    stroke="currentColor"
                    strokeWidth="1.5"
                    vectorEffect="non-scaling-stroke"
                  />
                </svg>
              )}
            </dd>
          </div>
        )
      })}
    </dl>
  )
}
