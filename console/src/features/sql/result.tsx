/** What a query gave: a grid, or a chart of it; and the ways to take it along. */
import { ChartColumn, Download, Pin, Table2, TriangleAlert } from 'lucide-react'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { useStore } from 'zustand'
import { useSeconds } from '../../app/clock'
import { toastFailure } from '../../app/toasts'
import { asObjects, download, fileName, follow } from '../../data/files'
import { DRAWN, drawn, proposed, shapes, type Wish } from '../../data/shape'
import { csvOfSql, type SqlAnswer, shapeOf, timeWritten, written } from '../../data/sql'
import { directionOf, language, t } from '../../i18n'
import { number } from '../../i18n/format'
import { Button } from '../../ui/button'
import { Chart } from '../../ui/chart/chart'
import type { Kind } from '../../ui/chart/figure'
import { Segments, Select } from '../../ui/form'
import { Grid, type GridColumn } from '../../ui/grid'
import { Menu } from '../../ui/menu'
import { Blank } from '../../ui/state'
import type { Outcome } from './page'

interface Props {
  outcome: Outcome
  onRun: () => void
  /** Puts what was asked on the board, drawn so. */
  onPin: (sql: string, wish: Wish | undefined) => void
}

export function Result({ outcome, onRun, onPin }: Props) {
  if (outcome.state === 'running') return <Running since={outcome.since} />
  if (outcome.state === 'failed') {
    const { failed } = outcome
    return (
      <div role="alert" className="overflow-auto p-4">
        <p className="flex items-center gap-2 font-medium text-danger">
          <TriangleAlert size={16} aria-hidden />
          {t(`error.${failed.code}`)}
        </p>
        <p dir="ltr" className="aligned mt-2 whitespace-pre-wrap font-mono text-[13px]">
          {failed.message}
        </p>
        {failed.temporary && (
          <Button className="mt-3" onClick={onRun}>
            {t('error.retry')}
          </Button>
        )}
      </div>
    )
  }
  if (outcome.state === 'none')
    return <Blank icon={<Table2 aria-hidden />} title={t('sql.none')} hint={t('sql.noneHint')} />
  return <Done key={outcome.sql} sql={outcome.sql} answer={outcome.answer} ms={outcome.ms} onPin={onPin} />
}

function Running({ since }: { since: number }) {
  const now = useSeconds()
  return (
    <p role="status" className="grid place-content-center text-soft">
      <span className="blink">{t('sql.running')}</span>
      <span aria-hidden className="text-center tabular-nums">
        {Math.max(0, Math.round((now - since) / 1000))} s
      </span>
    </p>
  )
}

type View = 'grid' | 'chart'

interface DoneProps extends Pick<Props, 'onPin'> {
  sql: string
  answer: SqlAnswer
  ms: number
}

function Done({ sql, answer, ms, onPin }: DoneProps) {
  const [view, setView] = useState<View>('grid')
  const wished = useRef<Wish>(undefined)
  const picture = useRef<() => string>(undefined)
  const columns = useMemo<GridColumn[]>(
    () =>
      answer.columns.map((one) => ({
        name: one.name,
        type: one.data_type,
        numeric: shapeOf(one.data_type) === 'number',
      })),
    [answer],
  )
  const write = useCallback(
    (value: unknown, column: GridColumn) => (shapeOf(column.type) === 'time' ? timeWritten(value) : written(value)),
    [],
  )
  const csv = async () => {
    try {
      download(fileName('saler-sql', 'csv'), await csvOfSql(sql))
    } catch (error) {
      toastFailure(error)
    }
  }
  const json = () =>
    download(
      fileName('saler-sql', 'json'),
      JSON.stringify(asObjects(answer.columns, answer.rows), null, 2),
      'application/json',
    )
  const png = () => {
    const address = picture.current?.()
    if (address) follow(fileName('saler-sql', 'png'), address)
  }
  const entries = [
    { label: t('sql.csv'), run: () => void csv() },
    { label: t('sql.json'), run: json },
  ]
  if (view === 'chart') entries.push({ label: t('sql.png'), run: png })
  return (
    <section aria-label={t('sql.result')} className="flex min-h-0 flex-col">
      <div className="flex flex-wrap items-center gap-2 border-b border-line bg-panel px-3 py-1.5">
        <Segments
          label={t('sql.view')}
          value={view}
          onChange={setView}
          choices={[
            { value: 'grid', label: t('sql.grid'), icon: <Table2 size={14} aria-hidden /> },
            { value: 'chart', label: t('sql.chart'), icon: <ChartColumn size={14} aria-hidden /> },
          ]}
        />
        <p role="status" className="text-[13px] text-soft">
          {t('sql.rows', { count: answer.rows.length, shown: number(answer.rows.length) })} ·{' '}
          {t('sql.took', { ms: number(Math.round(ms)) })}
        </p>
        {answer.truncated && (
          <p className="flex items-center gap-1 text-[13px] text-warn">
            <TriangleAlert size={14} aria-hidden />
            {t('sql.truncated')}
          </p>
        )}
        <span className="ms-auto flex gap-1">
          <Button
            look="quiet"
            icon={<Pin size={14} aria-hidden />}
            onClick={() => onPin(sql, view === 'chart' ? wished.current : undefined)}
          >
            {t('sql.pin')}
          </Button>
          <Menu
            trigger={
              <Button look="quiet" icon={<Download size={14} aria-hidden />}>
                {t('sql.export')}
              </Button>
            }
            entries={entries}
          />
        </span>
      </div>
      <div className="min-h-0 flex-1 bg-panel">
        {view === 'grid' ? (
          <Grid columns={columns} rows={answer.rows} label={t('sql.result')} nothing={t('sql.noRows')} write={write} />
        ) : (
          <Charted
            answer={answer}
            onWish={(wish) => {
              wished.current = wish
            }}
            onReady={(make) => {
              picture.current = make
            }}
          />
        )}
      </div>
    </section>
  )
}

interface ChartedProps {
  answer: SqlAnswer
  onWish: (wish: Wish | undefined) => void
  onReady: (picture: () => string) => void
}

function Charted({ answer, onWish, onReady }: ChartedProps) {
  const spoken = useStore(language, (state) => state.language)
  const first = useMemo(() => proposed(answer), [answer])
  const [wish, setWish] = useState<Wish | undefined>(first)
  useEffect(() => onWish(wish))
  const ready = useRef(onReady)
  ready.current = onReady
  const hand = useCallback((picture: () => string) => ready.current(picture), [])
  const all = useMemo(() => shapes(answer), [answer])
  const result = useMemo(() => {
    if (!wish) return undefined
    return drawn(answer, wish, (value, column) => (all[column] === 'time' ? timeWritten(value) : written(value) || '–'))
  }, [answer, wish, all])
  const words = useMemo(() => ({ value: number, tick: number }), [])
  if (!wish || !result) return <Blank title={t('sql.noChart')} hint={t('sql.noChartHint')} />
  const names = answer.columns.map((one, at) => ({ value: String(at), label: one.name }))
  const numbers = names.filter((_, at) => all[at] === 'number')
  return (
    <div className="flex size-full flex-col">
      <div className="flex flex-wrap gap-2 p-2">
        <Select<Kind>
          label={t('sql.kind')}
          value={wish.kind}
          onChange={(kind) => setWish({ ...wish, kind })}
          choices={DRAWN.map((value) => ({ value, label: t(`sql.kind.${value}`) }))}
        />
        <Select
          label={t('sql.category')}
          value={String(wish.category)}
          onChange={(at) => setWish({ ...wish, category: Number(at) })}
          choices={names.map((one) => ({ ...one, label: t('sql.categoryIs', { name: one.label }) }))}
        />
        <Select
          label={t('sql.value')}
          value={wish.values.length === 1 ? String(wish.values[0]) : 'all'}
          onChange={(at) =>
            setWish({ ...wish, values: at === 'all' ? numbers.map((one) => Number(one.value)) : [Number(at)] })
          }
          choices={[
            ...numbers.map((one) => ({ ...one, label: t('sql.valueIs', { name: one.label }) })),
            ...(numbers.length > 1 ? [{ value: 'all', label: t('sql.allValues') }] : []),
          ]}
        />
        <Select
          label={t('sql.split')}
          value={wish.split === undefined ? 'none' : String(wish.split)}
          onChange={(at) => setWish({ ...wish, split: at === 'none' ? undefined : Number(at) })}
          choices={[
            { value: 'none', label: t('sql.noSplit') },
            ...names.map((one) => ({ ...one, label: t('sql.splitIs', { name: one.label }) })),
          ]}
        />
        {result.cut && <p className="self-center text-xs text-warn">{t('sql.cut')}</p>}
      </div>
      <div className="min-h-0 flex-1 px-3 pb-3">
        <Chart
          figure={result.figure}
          label={t('sql.chart')}
          words={words}
          rtl={directionOf(spoken) === 'rtl'}
          empty={t('sql.noRows')}
          onReady={hand}
        />
      </div>
    </div>
  )
}
