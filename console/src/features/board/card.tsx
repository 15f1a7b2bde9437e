/** A chart on the board: its title and meaning, the chart or its table, what one can take along. */
import { Download, MoreHorizontal, Table2 } from 'lucide-react'
import { type ReactNode, useCallback, useMemo, useRef, useState } from 'react'
import { useStore } from 'zustand'
import type { Failure } from '../../api/client'
import { csv, download, fileName, follow } from '../../data/files'
import { amount, signed, tick } from '../../data/format'
import { directionOf, language, t } from '../../i18n'
import { Button, IconButton } from '../../ui/button'
import { Chart } from '../../ui/chart/chart'
import { asTable, type Figure, type Point } from '../../ui/chart/figure'
import { Hint } from '../../ui/hint'
import { Menu } from '../../ui/menu'

export interface CardProps {
  title: string
  /** What it shows and how it is counted. */
  meaning: ReactNode
  figure: Figure | undefined
  failed?: Failure | undefined
  again?: () => void
  /** How it changed against the time before. */
  change?: { by: number; good: boolean | undefined } | undefined
  /** The figure as a whole, beside the title. */
  sum?: string | undefined
  /** Not all groups are drawn. */
  leftOut?: number
  wide?: boolean
  wall: boolean
  onPick?: ((point: Point) => void) | undefined
}

export function Card({ title, meaning, figure, failed, again, change, sum, leftOut, wide, wall, onPick }: CardProps) {
  const spoken = useStore(language, (state) => state.language)
  const [table, setTable] = useState(false)
  const picture = useRef<() => string>(undefined)
  const ready = useCallback((make: () => string) => {
    picture.current = make
  }, [])
  const unit = figure?.unit ?? 'count'
  const words = useMemo(
    () => ({ value: (value: number) => amount(value, unit), tick: (value: number) => tick(value, unit) }),
    [unit, spoken],
  )
  const take = () => {
    if (!figure) return
    const { head, rows } = asTable(figure)
    download(fileName(title, 'csv'), csv(head, rows), 'text/csv;charset=utf-8')
  }
  const shoot = () => {
    const address = picture.current?.()
    if (address) follow(fileName(title, 'png'), address)
  }
  const entries = [
    {
      label: table ? t('board.asChart') : t('board.asTable'),
      icon: <Table2 size={14} aria-hidden />,
      run: () => setTable(!table),
    },
    { label: t('board.csv'), icon: <Download size={14} aria-hidden />, run: take },
  ]
  if (!table) entries.push({ label: t('board.png'), icon: <Download size={14} aria-hidden />, run: shoot })
  const size = wall ? 'min-h-0' : 'h-80'
  return (
    <section
      aria-label={title}
      className={`flex min-w-0 flex-col rounded-xl border border-line bg-panel ${size} ${wide && !wall ? 'lg:col-span-2' : ''}`}
    >
      <header className="flex items-center gap-1 px-4 pt-2.5">
        <h2 className={`truncate font-semibold ${wall ? 'text-lg' : ''}`}>{title}</h2>
        {!wall && <Hint label={t('board.whatIs', { name: title })}>{meaning}</Hint>}
        <span className="ms-auto flex items-center gap-2">
          {sum && <span className={`font-semibold tabular-nums ${wall ? 'text-lg' : 'text-[15px]'}`}>{sum}</span>}
          {change && (
            <span
              title={t('board.against')}
              className={`text-xs tabular-nums ${
                change.good === undefined ? 'text-soft' : change.good ? 'text-brand' : 'text-danger'
              }`}
            >
              <bdi>{signed(change.by)}</bdi>
            </span>
          )}
          {!wall && (
            <Menu
              trigger={
                <IconButton label={t('board.more', { name: title })}>
                  <MoreHorizontal size={16} aria-hidden />
                </IconButton>
              }
              entries={entries}
            />
          )}
        </span>
      </header>
      <div className="min-h-0 flex-1 px-3 pb-3 pt-1">
        {figure ? (
          <Chart
            figure={figure}
            label={title}
            words={words}
            rtl={directionOf(spoken) === 'rtl'}
            scale={wall ? 1.3 : 1}
            table={table}
            empty={t('board.empty')}
            pickLabel={t('board.behind')}
            onPick={wall ? undefined : onPick}
            onReady={ready}
          />
        ) : failed ? (
          <div
            role="alert"
            className="grid h-full place-content-center justify-items-center gap-2 text-center text-soft"
          >
            <p>{failed.code === 'not_found' ? t('board.notOffered') : t(`error.${failed.code}`)}</p>
            {failed.code !== 'not_found' && again && <Button onClick={again}>{t('error.retry')}</Button>}
          </div>
        ) : (
          <div role="status" aria-label={t('board.loading')} className="blink size-full rounded-lg bg-sunken" />
        )}
      </div>
      {leftOut !== undefined && leftOut > 0 && !wall && (
        <p className="px-4 pb-2 text-xs text-soft">{t('board.leftOut', { count: leftOut })}</p>
      )}
    </section>
  )
}
