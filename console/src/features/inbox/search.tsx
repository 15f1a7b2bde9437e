import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { SearchX } from 'lucide-react'
import { useDeferredValue } from 'react'
import { client, failure, of } from '../../api/client'
import type { Contact, Conversation, Found, Message } from '../../api/types'
import { useHalfMinutes } from '../../app/clock'
import { find, openConversation } from '../../app/find'
import { live } from '../../app/live'
import { toast, toastFailure } from '../../app/toasts'
import { t } from '../../i18n'
import { short } from '../../i18n/format'
import { Button } from '../../ui/button'
import { Blank, Skeleton } from '../../ui/state'
import { Avatar } from './bits'

/** How much of each kind is asked for. */
const LIMIT = 30
/** How much of a message stands before what was searched for. */
const BEFORE = 24

/** Where the words begin in a text, so that they are seen in a short line. */
export function around(text: string, words: string): string {
  const first = words.trim().split(/\s+/)[0] ?? ''
  const at = text.toLowerCase().indexOf(first.toLowerCase())
  return at > BEFORE ? `…${text.slice(at - BEFORE)}` : text
}

/** What the workspace holds of the words. */
export function SearchResults({ words }: { words: string }) {
  const { me } = live()
  const late = useDeferredValue(words)
  const asked = useQuery({
    queryKey: [me.workspace_id, me.user_id, 'search', late],
    queryFn: async () => (await find(late, LIMIT)) ?? null,
    staleTime: 10_000,
    retry: false,
  })
  if (asked.isPending) return <Skeleton rows={6} label={t('search.looking')} />
  if (asked.isError) {
    return (
      <Blank title={t(`error.${failure(asked.error).code}`)}>
        <Button onClick={() => void asked.refetch()}>{t('error.retry')}</Button>
      </Blank>
    )
  }
  return asked.data ? <All found={asked.data} words={late} /> : <Nothing />
}

function Heading({ children }: { children: string }) {
  return <h3 className="bg-sunken px-3 py-1 text-[11px] font-semibold text-soft">{children}</h3>
}

function Hint({ children }: { children: string }) {
  return <p className="px-3 py-2 text-xs text-soft">{children}</p>
}

function Nothing() {
  const icon = <SearchX size={28} aria-hidden className="text-line-strong" />
  return <Blank icon={icon} title={t('search.nothing')} hint={t('search.nothingHint')} />
}

function All({ found, words }: { found: Found; words: string }) {
  const { contacts, messages, complete } = found
  if (contacts.length + messages.length === 0) return <Nothing />
  return (
    <div className="h-full overflow-y-auto">
      {contacts.length > 0 && <Heading>{t('search.contacts')}</Heading>}
      <ul>
        {contacts.map((contact) => (
          <li key={contact.id}>
            <Person contact={contact} />
          </li>
        ))}
      </ul>
      {messages.length > 0 && <Heading>{t('search.messages')}</Heading>}
      <ul>
        {messages.map(({ conversation, message }) => (
          <li key={message.id}>
            <Hit conversation={conversation} message={message} words={words} />
          </li>
        ))}
      </ul>
      {!complete && <Hint>{t('search.incomplete')}</Hint>}
    </div>
  )
}

const ROW = 'flex w-full items-center gap-3 border-b border-line px-3 py-2 text-start hover:bg-hover'

function Hit({ conversation, message, words }: { conversation: Conversation; message: Message; words: string }) {
  const now = useHalfMinutes()
  return (
    <Link
      to="/inbox/$conversationId"
      params={{ conversationId: conversation.id }}
      search={(old) => ({ ...old, at: message.seq })}
      className={ROW}
    >
      <Avatar id={conversation.contact_id} name={conversation.contact_name} />
      <span className="min-w-0 flex-1">
        <span className="flex items-baseline gap-2">
          <bdi className="min-w-0 flex-1 truncate font-medium">{conversation.contact_name}</bdi>
          <time className="shrink-0 text-[11px] text-soft">{short(message.created_at, now)}</time>
        </span>
        <span dir="auto" className="aligned block truncate text-[13px] text-soft">
          {around(message.body.text ?? '', words)}
        </span>
      </span>
    </Link>
  )
}

/** A contact; their conversation is the newest of them. */
function Person({ contact }: { contact: Contact }) {
  const name = contact.name ?? contact.phone ?? contact.email ?? contact.identities[0]?.address ?? ''
  const open = async () => {
    const params = { path: { contact_id: contact.id }, query: { limit: 1 } }
    const [newest] = (await of(client.GET('/api/v1/contacts/{contact_id}/conversations', { params }))).items
    if (newest) openConversation(newest.id)
    else toast({ text: t('search.noConversation') })
  }
  return (
    <button type="button" onClick={() => void open().catch(toastFailure)} className={ROW}>
      <Avatar id={contact.id} name={name} />
      <span className="min-w-0 flex-1">
        <bdi className="block truncate font-medium">{name}</bdi>
        <bdi dir="ltr" className="block truncate text-[13px] text-soft">
          {contact.phone ?? contact.email ?? contact.identities[0]?.address}
        </bdi>
      </span>
    </button>
  )
}
