/** The contact of a conversation, as the hub knows them. */
import { useQuery } from '@tanstack/react-query'
import { client, of } from '../../api/client'
import { queries } from '../../api/queries'
import type { Contact, Conversation } from '../../api/types'
import { live } from '../../app/live'

const FRESH_MS = 60_000
/** How many earlier conversations are shown. */
const HISTORY = 20

const keyOf = (id: string) => {
  const { me } = live()
  return [me.workspace_id, me.user_id, 'contact', id]
}

export function useContact(id: string) {
  return useQuery<Contact>({
    queryKey: keyOf(id),
    queryFn: () => of(client.GET('/api/v1/contacts/{contact_id}', { params: { path: { contact_id: id } } })),
    staleTime: FRESH_MS,
  })
}

/** A contact's conversations, newest first. */
export function useHistory(id: string) {
  return useQuery<Conversation[]>({
    queryKey: [...keyOf(id), 'conversations'],
    queryFn: async () => {
      const params = { path: { contact_id: id }, query: { limit: HISTORY } }
      return (await of(client.GET('/api/v1/contacts/{contact_id}/conversations', { params }))).items
    },
    staleTime: FRESH_MS,
  })
}

export async function changeContact(id: string, body: { name?: string; blocked?: boolean }): Promise<void> {
  const params = { path: { contact_id: id }, header: { 'Idempotency-Key': crypto.randomUUID() } }
  const changed = await of(client.PATCH('/api/v1/contacts/{contact_id}', { params, body }))
  queries.setQueryData(keyOf(id), changed)
}
