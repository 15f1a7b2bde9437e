/** How pushed figures went while the page was open: the last ones of each, for the small lines in the tiles. */
import { useEffect, useState } from 'react'
import type { KpiBoard } from '../../api/types'
import { live } from '../../app/live'

/** The most points of a line, and the least time between two of them. */
export const POINTS = 90
export const EVERY_MS = 10_000

export interface TrailPoint {
  at: number
  value: number
}

export type Trails = ReadonlyMap<string, readonly TrailPoint[]>

export const cellKey = (one: { kpi: string; channel_id?: string | null; agent_id?: string | null }): string =>
  `${one.kpi}/${one.channel_id ?? one.agent_id ?? ''}`

/** Adds a board's figures; one that came right after the last takes its place. */
export function extended(old: Trails, board: KpiBoard, now: number): Trails {
  const next = new Map(old)
  for (const one of board.values) {
    const value = one.value
    if (value === undefined || value === null) continue
    const key = cellKey(one)
    const points = next.get(key) ?? []
    const last = points.at(-1)
    const kept = last && now - last.at < EVERY_MS && points.length > 1 ? points.slice(0, -1) : points
    const at = kept === points ? now : (last?.at ?? now)
    next.set(key, [...kept, { at, value }].slice(-POINTS))
  }
  return next
}

/** Kept over visits of the page, for whoever is signed in. */
let kept: { who: string; trails: Trails } = { who: '', trails: new Map() }

export function useTrails(board: KpiBoard | undefined): Trails {
  const { me } = live()
  const who = `${me.workspace_id}/${me.user_id}`
  if (kept.who !== who) kept = { who, trails: new Map() }
  const [trails, set] = useState(kept.trails)
  useEffect(() => {
    if (!board) return
    kept = { who, trails: extended(kept.trails, board, Date.now()) }
    set(kept.trails)
  }, [board, who])
  return trails
}

/** The points as a line in a box of 100 by 24. */
export function path(points: readonly TrailPoint[]): string | undefined {
  if (points.length < 2) return undefined
  const values = points.map((one) => one.value)
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const from = points[0]?.at ?? 0
  const wide = Math.max(1, (points.at(-1)?.at ?? 0) - from)
  const high = most - least || 1
  return points
    .map((one, place) => {
      const x = ((one.at - from) / wide) * 100
      const y = most === least ? 12 : 22 - ((one.value - least) / high) * 20
      return `${place === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`
    })
    .join('')
}
