/** What the desk asks of the hub over REST. A port, so that tests need no hub. */
import { client, of } from '../api/client'
import type { Conversation, Message, Status } from '../api/types'

export interface ConversationChange {
  assignee?: string | null
  status?: Status
  snoozed_until?: string
}

export interface HubPort {
  list(assignee: string, status: Status, cursor: string | undefined): Promise<{ items: Conversation[]; next?: string }>
  conversation(id: string): Promise<Conversation>
  messages(id: string, afterSeq: number, limit: number): Promise<Message[]>
  send(id: string, key: string, text: string): Promise<Message>
  note(id: string, key: string, text: string): Promise<Message>
  retry(id: string, seq: number, key: string): Promise<Message>
  change(id: string, change: ConversationChange): Promise<Conversation>
  read(id: string, seq: number): Promise<Conversation>
}

const at = (id: string) => ({ path: { conversation_id: id } })
const keyed = (id: string, key: string) => ({ ...at(id), header: { 'Idempotency-Key': key } })

/** How many conversations a page of a list holds. */
export const LIST_PAGE = 50

export const hub: HubPort = {
  async list(assignee, status, cursor) {
    const query = { assignee, status, limit: LIST_PAGE, ...(cursor ? { cursor } : {}) }
    const page = await of(client.GET('/api/v1/conversations', { params: { query } }))
    return { items: page.items as Conversation[], ...(page.next_cursor ? { next: page.next_cursor } : {}) }
  },
  conversation: (id) => of(client.GET('/api/v1/conversations/{conversation_id}', { params: at(id) })),
  async messages(id, after_seq, limit) {
    const params = { ...at(id), query: { after_seq, limit } }
    const page = await of(client.GET('/api/v1/conversations/{conversation_id}/messages', { params }))
    return page.items as Message[]
  },
  async send(id, key, text) {
    const ask = { params: keyed(id, key), body: { body: { text } } }
    return (await of(client.POST('/api/v1/conversations/{conversation_id}/messages', ask))).message
  },
  async note(id, key, text) {
    const ask = { params: keyed(id, key), body: { text } }
    return (await of(client.POST('/api/v1/conversations/{conversation_id}/notes', ask))).message
  },
  retry(id, seq, key) {
    const params = { path: { conversation_id: id, seq }, header: { 'Idempotency-Key': key } }
    return of(client.POST('/api/v1/conversations/{conversation_id}/messages/{seq}/retry', { params }))
  },
  change: (id, body) => of(client.PATCH('/api/v1/conversations/{conversation_id}', { params: at(id), body })),
  read: (id, seq) => of(client.POST('/api/v1/conversations/{conversation_id}/read', { params: at(id), body: { seq } })),
}
