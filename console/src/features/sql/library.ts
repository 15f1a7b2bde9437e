/**
 * Queries that are kept: saved ones, those that ran, and the draft. They are this browser's, of one person in one workspace.
 * What is read is checked: an older version of the page, or a hand, may have written it.
 */
import { store, storedJson } from '../../app/storage'

export interface Saved {
  id: string
  name: string
  sql: string
  at: number
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
      .map((one) => ({ id: String(one.id), name: String(one.name), sql: String(one.sql), at: Number(one.at) || 0 })),
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
