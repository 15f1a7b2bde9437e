/** Searching the workspace for people and messages. */
import { client, of } from '../api/client'
import type { Found } from '../api/types'
import { t } from '../i18n'
import type { PickItem } from './pick'
import { go } from './router'

/** The hub's bounds of what is searched for, in characters. */
const SHORTEST = 2
const LONGEST = 100

/** What the hub finds; `undefined` if the words are too short. */
export async function find(words: string, limit: number): Promise<Found | undefined> {
  const q = words.trim().slice(0, LONGEST)
  if (q.length < SHORTEST) return undefined
  return of(client.GET('/api/v1/search', { params: { query: { q, limit } } }))
}

/** Conversations with what was searched for, each once, for the palette. */
export async function findConversations(words: string): Promise<PickItem[]> {
  const found = await find(words, 8)
  const seen = new Set<string>()
  const items: PickItem[] = []
  for (const { conversation, message } of found?.messages ?? []) {
    if (seen.has(conversation.id)) continue
    seen.add(conversation.id)
    items.push({
      id: `conversation.${conversation.id}`,
      title: conversation.contact_name,
      hint: message.body.text ?? '',
      group: t('search.conversations'),
      run: () => openConversation(conversation.id, message.seq),
    })
  }
  return items
}

/** Opens a conversation, at a message of it. */
export function openConversation(id: string, seq?: number): void {
  go(`/inbox/${id}`, seq ? { at: seq } : {})
}
