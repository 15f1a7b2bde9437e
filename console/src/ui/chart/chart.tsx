// biome-ignore-all lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
/**
 * A chart with what belongs to it for everybody: the same as a table (for those who do not see it, and by keyboard), and what
 * to show where there is nothing to draw.
 */
import { lazy, Suspense } from 'react'
import { asTable, type Figure, isEmpty, type Point } from './figure'
import type { Words } from './option'

const load = () => import('./canvas')
const Canvas = lazy(load)

export interface ChartProps {
  figure: Figure
  /** What the chart shows, in a sentence. */
  label: string
  words: Words
  rtl: boolean
  scale?: number
  /** Shown as a table. */
  table?: boolean
  /** What to say when there is nothing to draw. */
  empty: string
  /** The name of what a press does. */
  pickLabel?: string
  onPick?: ((point: Point) => void) | undefined
  onReady?: (picture: () => string) => void
}

export function Chart({ figure, label, words, rtl, scale = 1, table, empty, pickLabel, onPick, onReady }: ChartProps) {
  if (isEmpty(figure)) return <p className="grid size-full place-content-center text-center text-soft">{empty}</p>
  if (table)
    return <Table figure={figure} label={label} words={words} {...(pickLabel ? { pickLabel } : {})} onPick={onPick} />
  return (
    <figure className="size-full" aria-label={label}>
      <Suspense fallback={<div className="blink size-full rounded-lg bg-sunken" />}>
        <Canvas
          figure={figure}
          words={words}
          rtl={rtl}
          scale={scale}
          onPick={onPick}
          {...(onReady ? { onReady } : {})}
        />
      </Suspense>
    </figure>
  )
}

function Table({
  figure,
  label,
  words,
  pickLabel,
  onPick,
}: Pick<ChartProps, 'figure' | 'label' | 'words' | 'pickLabel' | 'onPick'>) {
  const { head, rows } = asTable(figure)
  return (
    <section className="relative size-full overflow-auto" aria-label={label} tabIndex={0}>
      <table className="w-full text-[13px]">
        <thead className="sticky top-0 bg-panel text-soft">
          <tr>
            {head.map((name, place) => (
              <th
                key={place}
                scope="col"
                className={`whitespace-nowrap px-2 py-1.5 font-medium ${place === 0 ? 'text-start' : 'text-end'}`}
              >
                <bdi>{name}</bdi>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(([category, ...values], row) => (
            <tr key={row} className="border-t border-line">
              <th scope="row" className="whitespace-nowrap px-2 py-1.5 text-start font-normal">
                <bdi>{category}</bdi>
              </th>
              {values.map((value, place) => (
                <td key={place} className="px-2 py-1.5 text-end tabular-nums">
                  {typeof value !== 'number' ? (
                    '–'
                  ) : onPick ? (
                    <button
                      type="button"
                      className="rounded px-1 underline decoration-line-strong underline-offset-2 hover:decoration-brand"
                      title={pickLabel}
                      onClick={() => onPick({ series: place, category: row })}
                    >
                      {words.value(value)}
                    </button>
                  ) : (
                    words.value(value)
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}
