/**
 * Queries that are kept: saved ones, those that ran, and the draft. They are this browser's, of one person in one workspace.
 * What is read is checked: an older version of the page, or a hand, may have written it.
 */
import { store, storedJson } from '../app/storage'
import { DRAWN, type Wish } from './shape'

export interface Saved {
  id: string
  name: string
  sql: string
  at: number
  /** It stands on the board, drawn so; `true` if it is not drawn. */
  pinned?: Wish | true
}

export interface Ran {
  sql: string
  at: number
  rows: number
  ms: number
}

export interface Library {
  draft: string
  saved: Saved[]
  ran: Ran[]
}

/** The most that is kept of each. */
export const SAVED_MOST = 200
export const RAN_MOST = 50
/** The most that stand on the board: each is asked for anew while one looks. */
export const PINNED_MOST = 6

const isText = (value: unknown): value is string => typeof value === 'string'
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** A library out of whatever was stored. */
export function library(raw: unknown): Library {
  const from = isRecord(raw) ? raw : {}
  const list = (value: unknown) => (Array.isArray(value) ? value.filter(isRecord) : [])
  return {
    draft: isText(from.draft) ? from.draft : '',
    saved: list(from.saved)
      .filter((one) => isText(one.id) && isText(one.name) && isText(one.sql))
      .map((one) => {
        const pinned = one.pinned === true ? true : wishOf(one.pinned)
        const saved = { id: String(one.id), name: String(one.name), sql: String(one.sql), at: Number(one.at) || 0 }
        return pinned ? { ...saved, pinned } : saved
      }),
    ran: list(from.ran)
      .filter((one) => isText(one.sql))
      .map((one) => ({
        sql: String(one.sql),
        at: Number(one.at) || 0,
        rows: Number(one.rows) || 0,
        ms: Number(one.ms) || 0,
      })),
  }
}

/** How a pinned query is drawn, if what was stored says so. */
function wishOf(raw: unknown): Wish | undefined {
  if (!isRecord(raw)) return undefined
  const kind = DRAWN.find((one) => one === raw.kind)
  const values = Array.isArray(raw.values) ? raw.values.filter((one) => Number.isInteger(one)) : []
  if (!kind || !Number.isInteger(raw.category) || values.length === 0) return undefined
  const split = Number.isInteger(raw.split) ? Number(raw.split) : undefined
  return { kind, category: Number(raw.category), values: values.map(Number), split }
}

export const pinnedIn = (all: Library): Saved[] => all.saved.filter((one) => one.pinned).slice(0, PINNED_MOST)

/** Takes a query from the board; it stays saved. */
export const unpin = (old: Library, id: string): Library => ({
  ...old,
  saved: old.saved.map(({ pinned, ...one }) => (one.id === id || !pinned ? one : { ...one, pinned })),
})

/** Saves a query under a name; another of the same name gives way. Newest first. */
export function save(old: Library, one: Saved): Library {
  const others = old.saved.filter((other) => other.name !== one.name && other.id !== one.id)
  return { ...old, saved: [one, ...others].slice(0, SAVED_MOST) }
}

export const unsave = (old: Library, id: string): Library => ({
  ...old,
  saved: old.saved.filter((one) => one.id !== id),
})

/** Notes that a query ran; the same text stands there once, with its last run. */
export function note(old: Library, one: Ran): Library {
  const others = old.ran.filter((other) => other.sql.trim() !== one.sql.trim())
  return { ...old, ran: [one, ...others].slice(0, RAN_MOST) }
}

const nameOf = (workspace: string, user: string) => `saler.sql.${workspace}.${user}`

export const read = (workspace: string, user: string): Library => library(storedJson(nameOf(workspace, user), {}))

export const write = (workspace: string, user: string, all: Library): void =>
  store(nameOf(workspace, user), JSON.stringify(all))
