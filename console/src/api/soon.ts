/**
 * What the hub answers on the routes and events of the desk: notices, counts, canned replies, teams, saved views, search.
 * An older hub answers these routes with 404, which is told apart from a failure by `offered`.
 */

import { Failure, failure, problemOf } from './client'
import { accessToken } from './session'
import type { Contact, Conversation, Message, Priority, Status } from './types'

export interface CannedReply {
  shortcut: string
  text: string
  title?: string | null
  language?: string | null
  updated_at: string
}

export interface Team {
  id: string
  name: string
  members: string[]
}

export interface Notification {
  number: number
  kind: 'assigned' | 'mentioned'
  conversation_id: string
  seq?: number | null
  contact_name: string
  preview: string
  by?: string | null
  at: string
  read: boolean
}

export interface Filters {
  status?: Status
  assignee?: string
  mentioned?: boolean
  team?: string
  channel?: string
  label?: string
  priority?: Priority
  unread?: boolean
}

export interface SavedView {
  id: string
  name: string
  owner: string
  shared: boolean
  filters: Filters
}

export interface Counts {
  notifications: number
  views: Record<string, number>
}

export interface Found {
  contacts: Contact[]
  messages: { conversation: Conversation; message: Message }[]
  complete: boolean
}

export interface BulkItem {
  conversation_id: string
  conversation?: Conversation
  error?: { code: string; detail: string }
}

/** Events of the topic `desk`. */
export type DeskEvent =
  | { type: 'counts_changed'; views: Record<string, number> }
  | { type: 'notification_added'; notification: Notification; unread: number }
  | { type: 'notifications_read'; user_id: string; read_up_to: number; read?: number[]; unread: number }
  | { type: 'setting_changed'; change: { kind: string } }

export interface PageOf<T> {
  items: T[]
  next_cursor?: string | null
}

type Query = Record<string, string | number | boolean | undefined>

/** Asks the hub; throws a `Failure` for anything but a success. */
export async function ask<T>(
  method: string,
  path: string,
  body?: unknown,
  query: Query = {},
  known?: string,
): Promise<T> {
  let answer: Response
  try {
    const token = known ?? (await accessToken())
    if (token === undefined) throw new Failure('unauthenticated', 'the sign-in has ended')
    const words = new URLSearchParams()
    for (const [name, value] of Object.entries(query)) if (value !== undefined) words.set(name, String(value))
    answer = await fetch(`/api/v1${path}${words.size > 0 ? `?${words}` : ''}`, {
      method,
      headers: {
        Authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  } catch (error) {
    throw failure(error)
  }
  // Something between here and the hub may answer with a page.
  const json = await answer.json().catch(() => undefined)
  if (!answer.ok) throw await problemOf(answer.status, json)
  return json as T
}

/** The answer; `undefined` if the hub does not offer the route. */
export async function offered<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (['not_found', 'method_not_allowed'].includes(failure(error).code)) return undefined
    throw error
  }
}
