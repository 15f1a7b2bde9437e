// biome-ignore-all lint/a11y/useSemanticElements: a table lays out all of its rows; these are placed one by one
/**
 * A grid for results of any length: only what is seen is there. Arrows move the cell, Ctrl+C copies it, a column's head sorts.
 */
import { useVirtualizer } from '@tanstack/react-virtual'
import { ArrowDown, ArrowUp } from 'lucide-react'
import { type KeyboardEvent, useId, useMemo, useRef, useState } from 'react'

export interface GridColumn {
  name: string
  /** Shown on hover over the head. */
  type: string
  numeric: boolean
}

export interface GridProps {
  columns: readonly GridColumn[]
  rows: readonly (readonly unknown[])[]
  label: string
  nothing: string
  /** A value as it is shown. */
  write: (value: unknown, column: GridColumn) => string
}

const ROW_PX = 30
/** Widths in characters: the narrowest and the widest column, and the rows that are looked at for it. */
const NARROW = 7
const WIDE = 44
const LOOKED_AT = 200
const CHARACTER_PX = 7.6

type Order = { column: number; down: boolean } | undefined

/** Nulls last; numbers by size, anything else by its text. */
export function compared(a: unknown, b: unknown): number {
  if (a === b) return 0
  if (a === null || a === undefined) return 1
  if (b === null || b === undefined) return -1
  if (typeof a === 'number' && typeof b === 'number') return a - b
  return String(a) < String(b) ? -1 : 1
}

/** The places of the rows in an order; as they came, if there is none. */
export function ordered(rows: GridProps['rows'], order: Order): number[] {
  const places = rows.map((_, place) => place)
  if (!order) return places
  const { column, down } = order
  return places.sort((a, b) => {
    const [x, y] = [rows[a]?.[column], rows[b]?.[column]]
    if (x === null || y === null) return compared(x, y)
    return down ? -compared(x, y) : compared(x, y)
  })
}

export function Grid({ columns, rows, label, nothing, write }: GridProps) {
  const id = useId()
  const [order, setOrder] = useState<Order>()
  const [cell, setCell] = useState({ row: 0, column: 0 })
  const scroller = useRef<HTMLDivElement>(null)
  const places = useMemo(() => ordered(rows, order), [rows, order])
  const widths = useMemo(
    () =>
      columns.map((column, at) => {
        let most = column.name.length + 3
        for (const row of rows.slice(0, LOOKED_AT)) most = Math.max(most, write(row[at], column).length)
        return Math.round(Math.min(WIDE, Math.max(NARROW, most)) * CHARACTER_PX) + 20
      }),
    [columns, rows, write],
  )
  const template = widths.map((one) => `${one}px`).join(' ')
  const width = widths.reduce((sum, one) => sum + one, 0)
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
  })

  const move = (row: number, column: number) => {
    const next = {
      row: Math.max(0, Math.min(rows.length - 1, row)),
      column: Math.max(0, Math.min(columns.length - 1, column)),
    }
    setCell(next)
    virtual.scrollToIndex(next.row)
    const left = widths.slice(0, next.column).reduce((sum, one) => sum + one, 0)
    const at = scroller.current
    if (!at) return
    if (left < at.scrollLeft) at.scrollLeft = left
    else if (left + (widths[next.column] ?? 0) > at.scrollLeft + at.clientWidth) {
      at.scrollLeft = left + (widths[next.column] ?? 0) - at.clientWidth
    }
  }
  const pressed = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? ROW_PX) / ROW_PX) - 2)
    const { row, column } = cell
    const moves: Record<string, () => void> = {
      ArrowDown: () => move(row + 1, column),
      ArrowUp: () => move(row - 1, column),
      ArrowRight: () => move(row, column + 1),
      ArrowLeft: () => move(row, column - 1),
      PageDown: () => move(row + page, column),
      PageUp: () => move(row - page, column),
      Home: () => move(event.ctrlKey ? 0 : row, 0),
      End: () => move(event.ctrlKey ? rows.length - 1 : row, columns.length - 1),
    }
    const copies = event.code === 'KeyC' && (event.ctrlKey || event.metaKey) && String(getSelection()) === ''
    if (copies) {
      const value = rows[places[row] ?? 0]?.[column]
      const text =
        value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value)
      void navigator.clipboard?.writeText(text)
    }
    const run = moves[event.key]
    if (!run && !copies) return
    event.preventDefault()
    event.stopPropagation()
    run?.()
  }
  const sort = (column: number) => {
    setOrder(order?.column !== column ? { column, down: false } : order.down ? undefined : { column, down: true })
  }
  return (
    <div
      ref={scroller}
      role="grid"
      dir="ltr"
      data-own-keys
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-colcount={columns.length}
      aria-activedescendant={rows.length > 0 ? `${id}-${cell.row}-${cell.column}` : undefined}
      tabIndex={0}
      onKeyDown={pressed}
      className="size-full overflow-auto text-start text-[13px]"
    >
      <div
        role="row"
        aria-rowindex={1}
        tabIndex={-1}
        className="sticky top-0 z-10 grid h-8 border-b border-line bg-sunken"
        style={{ gridTemplateColumns: template, width }}
      >
        {columns.map((column, at) => (
          <div
            key={at}
            role="columnheader"
            tabIndex={-1}
            aria-colindex={at + 1}
            aria-sort={order?.column === at ? (order.down ? 'descending' : 'ascending') : 'none'}
            className="min-w-0 border-e border-line"
          >
            <button
              type="button"
              tabIndex={-1}
              title={`${column.name}: ${column.type}`}
              onClick={() => sort(at)}
              className={`flex size-full items-center gap-1 px-2.5 font-medium hover:bg-hover ${column.numeric ? 'justify-end' : ''}`}
            >
              <bdi className="truncate">{column.name}</bdi>
              {order?.column === at &&
                (order.down ? <ArrowDown size={12} aria-hidden /> : <ArrowUp size={12} aria-hidden />)}
            </button>
          </div>
        ))}
      </div>
      {rows.length === 0 && <p className="p-4 text-soft">{nothing}</p>}
      <div role="rowgroup" className="relative" style={{ height: virtual.getTotalSize(), width }}>
        {virtual.getVirtualItems().map((item) => {
          const row = rows[places[item.index] ?? 0] ?? []
          return (
            <div
              key={item.key}
              role="row"
              tabIndex={-1}
              aria-rowindex={item.index + 2}
              className={`absolute inset-x-0 top-0 grid border-b border-line ${item.index % 2 === 1 ? 'bg-canvas' : ''}`}
              style={{ gridTemplateColumns: template, height: ROW_PX, transform: `translateY(${item.start}px)` }}
            >
              {columns.map((column, at) => {
                const value = row[at]
                const chosen = cell.row === item.index && cell.column === at
                const nil = value === null || value === undefined
                return (
                  <div
                    key={at}
                    id={`${id}-${item.index}-${at}`}
                    role="gridcell"
                    tabIndex={-1}
                    aria-colindex={at + 1}
                    aria-selected={chosen}
                    dir="auto"
                    title={typeof value === 'string' && value.length > WIDE ? value : undefined}
                    onMouseDown={() => setCell({ row: item.index, column: at })}
                    className={`truncate px-2.5 leading-[30px] ${column.numeric ? 'text-end tabular-nums' : 'aligned'} ${
                      nil ? 'text-soft italic' : ''
                    } ${chosen ? 'ring-1 ring-brand ring-inset' : ''}`}
                  >
                    {nil ? 'null' : write(value, column)}
                  </div>
                )
              })}
            </div>
          )
        })}
      </div>
    </div>
  )
}
