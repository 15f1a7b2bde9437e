/**
 * The window of a thread that is in memory: messages by `seq`, ascending and without holes, at most WINDOW of them.
 * Functions here are pure; they return the same window when nothing changes.
 */
import type { EventRecord, Message } from '../api/types'

/** The most messages of one thread in memory. */
export const WINDOW = 2000
/** How many messages a page holds: the API's most. */
export const PAGE = 100

export interface Window {
  messages: Message[]
  /** The number of the newest message that is known to exist, in the window or not. */
  newest: number
}

export const EMPTY: Window = { messages: [], newest: 0 }

export const first = (window: Window): number => window.messages[0]?.seq ?? 0
export const last = (window: Window): number => window.messages.at(-1)?.seq ?? 0
export const atEnd = (window: Window): boolean => last(window) >= window.newest

/** `after_seq` and `limit` of the page before the window; nothing at the beginning of the thread. */
export function pageBefore(window: Window): { after_seq: number; limit: number } | undefined {
  const from = first(window)
  if (from <= 1) return undefined
  const limit = Math.min(PAGE, from - 1)
  return { after_seq: from - 1 - limit, limit }
}

/** Joins a page to the window. Messages of a page replace older copies; the far side gives way over the bound. */
export function join(window: Window, page: Message[], keep: 'start' | 'end'): Window {
  const head = page[0]
  const tail = page.at(-1)
  if (!head || !tail) return window
  const newest = Math.max(window.newest, tail.seq)
  const from = first(window)
  const to = last(window)
  // A page that does not touch the window replaces it: a window has no holes.
  const touches = window.messages.length > 0 && head.seq <= to + 1 && tail.seq >= from - 1
  if (!touches) return { messages: page, newest }
  const messages = [
    ...window.messages.filter((message) => message.seq < head.seq),
    ...page,
    ...window.messages.filter((message) => message.seq > tail.seq),
  ]
  if (messages.length <= WINDOW) return { messages, newest }
  return { messages: keep === 'start' ? messages.slice(0, WINDOW) : messages.slice(-WINDOW), newest }
}

export interface Applied {
  window: Window
  /** Messages are missing between the window and what came: fetch those after `last`. */
  gap: boolean
}

/** A message that was added. Known ones change nothing; one that leaves a hole is left to the gap's fetching. */
export function added(window: Window, message: Message, following: boolean): Applied {
  const to = last(window)
  if (message.seq <= to) return { window, gap: false }
  const newest = Math.max(window.newest, message.seq)
  if (window.messages.length === 0 ? message.seq === 1 : message.seq === to + 1) {
    // Whoever reads far above the end keeps their place: the window then ends before the newest.
    if (!following && window.messages.length >= WINDOW) return { window: { ...window, newest }, gap: false }
    const kept = window.messages.length >= WINDOW ? window.messages.slice(1 - WINDOW) : window.messages
    return { window: { messages: [...kept, message], newest }, gap: false }
  }
  return { window: { ...window, newest }, gap: following || atEnd(window) }
}

const RANK = { queued: 0, sent: 1, delivered: 2, read: 3, failed: 4 } as const

/** A change of a message's way out. Events come in order, so the last one holds; one that the page had already is repeated. */
export function changed(window: Window, event: EventRecord['event']): Window {
  if (event.type !== 'message_status_changed' && event.type !== 'message_send_deferred') return window
  const index = event.seq - first(window)
  const message = window.messages[index]
  if (!message || message.seq !== event.seq) return window
  const messages = window.messages.slice()
  if (event.type === 'message_send_deferred') {
    messages[index] = { ...message, error: event.error }
  } else {
    const known = message.status ?? 'queued'
    const stale = RANK[known] > RANK[event.to] && known !== 'failed'
    if (stale) return window
    messages[index] = { ...message, status: event.to, error: event.error ?? null }
  }
  return { ...window, messages }
}
