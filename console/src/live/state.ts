/** What a tab knows. */
import type { Failure } from '../api/client'
import type { Conversation, KpiBoard, Notification, Presence, UploadedFile } from '../api/types'
import type { Link } from './socket'
import type { View } from './view'
import type { Window } from './window'

export interface List {
  view: View
  ids: string[]
  /** Where the next page begins; absent when all are here. */
  next?: string
  state: 'loading' | 'ready' | 'failed'
  error?: Failure
}

export interface Thread {
  window: Window
  state: 'loading' | 'ready' | 'failed'
  error?: Failure
  /** A page is on its way. */
  paging: boolean
  /** The reader is at the end, so the window follows it. */
  following: boolean
}

/** A message or note that the hub has not confirmed. */
export interface Pending {
  key: string
  conversation_id: string
  kind: 'message' | 'note'
  text: string
  mentions?: string[]
  attachments?: UploadedFile[]
  at: number
  state: 'sending' | 'waiting' | 'failed'
  error?: { code: string; reason: string }
}

/** What others did that somebody should know, newest first. */
export interface Notices {
  items: readonly Notification[]
  unread: number
  next?: string
  state: 'loading' | 'ready' | 'failed'
}

export interface DeskState {
  link: Link
  conversations: ReadonlyMap<string, Conversation>
  lists: Readonly<Record<string, List>>
  threads: ReadonlyMap<string, Thread>
  pending: readonly Pending[]
  presence: ReadonlyMap<string, Presence>
  /** Who types: by conversation, `user_id` or `contact`, until when. */
  typing: ReadonlyMap<string, ReadonlyMap<string, number>>
  viewing: ReadonlyMap<string, ReadonlyMap<string, number>>
  /** How many conversations are in a view, by `countKey`; absent while they are not known. */
  counts?: Readonly<Record<string, number>>
  notices: Notices
  board?: KpiBoard
}

export const blank = (): DeskState => ({
  link: { state: 'idle' },
  conversations: new Map(),
  lists: {},
  threads: new Map(),
  pending: [],
  presence: new Map(),
  typing: new Map(),
  viewing: new Map(),
  notices: { items: [], unread: 0, state: 'loading' },
})
