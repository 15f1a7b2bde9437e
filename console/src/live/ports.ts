/** What the desk needs of the world: the hub over REST, a clock, a place to keep things. Ports, so that tests need neither. */
import { client, of } from '../api/client'
import type {
  Conversation,
  Counts,
  EventRecord,
  Message,
  Notification,
  Priority,
  Status,
  UploadedFile,
} from '../api/types'
import type { Pending } from './state'
import { parameters, type View } from './view'

export interface ConversationChange {
  assignee?: string | null
  team?: string | null
  status?: Status
  snoozed_until?: string
  priority?: Priority
}

export interface LabelsChange {
  add?: string[]
  remove?: string[]
}

/** What became of one of many. */
export interface Outcome {
  conversation_id: string
  conversation?: Conversation | null
  error?: { code: string } | null
}

export interface HubPort {
  list(view: View, cursor: string | undefined): Promise<{ items: Conversation[]; next?: string }>
  conversation(id: string): Promise<Conversation>
  messages(id: string, afterSeq: number, limit: number): Promise<Message[]>
  send(id: string, key: string, text: string, attachments: readonly UploadedFile[]): Promise<Message>
  note(id: string, key: string, text: string, mentions: readonly string[]): Promise<Message>
  retry(id: string, seq: number, key: string): Promise<Message>
  change(id: string, change: ConversationChange): Promise<Conversation>
  labels(id: string, change: LabelsChange): Promise<Conversation>
  bulk(ids: readonly string[], change: ConversationChange & { labels?: LabelsChange }): Promise<Outcome[]>
  read(id: string, seq: number): Promise<Conversation>
  counts(): Promise<Pick<Counts, 'views' | 'notifications'>>
  notices(cursor: string | undefined): Promise<{ items: Notification[]; next?: string }>
  noticesRead(which: { up_to?: number; numbers?: number[] }): Promise<{ unread: number }>
}

export interface DeskPorts {
  hub: HubPort
  me: string
  now(): number
  after(ms: number, run: () => void): () => void
  key(): string
  /** Keeps what waits to be sent over a reload. */
  keep(pending: readonly Pending[]): void
  /** Something happened that may deserve a sound; it is in the state already. */
  happened?(record: EventRecord): void
  /** A setting of the workspace is another: canned replies, teams, labels, saved views. */
  setting?(kind: string): void
}

const at = (id: string) => ({ path: { conversation_id: id } })
const keyed = (id: string, key: string) => ({ ...at(id), header: { 'Idempotency-Key': key } })

/** How many conversations a page of a list holds. */
export const LIST_PAGE = 50
const NOTICES_PAGE = 50

export const hub: HubPort = {
  async list(view, cursor) {
    const query = { ...parameters(view), limit: LIST_PAGE, ...(cursor ? { cursor } : {}) }
    const page = await of(client.GET('/api/v1/conversations', { params: { query } }))
    return { items: page.items, ...(page.next_cursor ? { next: page.next_cursor } : {}) }
  },
  conversation: (id) => of(client.GET('/api/v1/conversations/{conversation_id}', { params: at(id) })),
  async messages(id, after_seq, limit) {
    const params = { ...at(id), query: { after_seq, limit } }
    const page = await of(client.GET('/api/v1/conversations/{conversation_id}/messages', { params }))
    return page.items as Message[]
  },
  async send(id, key, text, attachments) {
    const body = { text, ...(attachments.length > 0 ? { attachments: [...attachments] } : {}) }
    const what = { params: keyed(id, key), body: { body } }
    return (await of(client.POST('/api/v1/conversations/{conversation_id}/messages', what))).message
  },
  async note(id, key, text, mentions) {
    const what = { params: keyed(id, key), body: { text, ...(mentions.length > 0 ? { mentions: [...mentions] } : {}) } }
    return (await of(client.POST('/api/v1/conversations/{conversation_id}/notes', what))).message
  },
  retry(id, seq, key) {
    const params = { path: { conversation_id: id, seq }, header: { 'Idempotency-Key': key } }
    return of(client.POST('/api/v1/conversations/{conversation_id}/messages/{seq}/retry', { params }))
  },
  change: (id, body) => of(client.PATCH('/api/v1/conversations/{conversation_id}', { params: at(id), body })),
  labels: (id, body) => of(client.POST('/api/v1/conversations/{conversation_id}/labels', { params: at(id), body })),
  async bulk(ids, change) {
    const body = { conversation_ids: [...ids], change }
    return (await of(client.POST('/api/v1/conversations/bulk', { body }))).items
  },
  read: (id, seq) => of(client.POST('/api/v1/conversations/{conversation_id}/read', { params: at(id), body: { seq } })),
  counts: () => of(client.GET('/api/v1/conversations/counts')),
  async notices(cursor) {
    const query = { limit: NOTICES_PAGE, ...(cursor ? { cursor } : {}) }
    const page = await of(client.GET('/api/v1/notifications', { params: { query } }))
    return { items: page.items, ...(page.next_cursor ? { next: page.next_cursor } : {}) }
  },
  noticesRead: (body) => of(client.POST('/api/v1/notifications/read', { body })),
}
