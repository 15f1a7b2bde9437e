import { Check, CheckCheck, CircleAlert, Clock, Lock, MapPin, Paperclip } from 'lucide-react'
import { Fragment, lazy, memo, Suspense, useState } from 'react'
import { useStore } from 'zustand'
import { failure } from '../../api/client'
import type { Agent, Message } from '../../api/types'
import { live } from '../../app/live'
import { language, type MessageId, t } from '../../i18n'
import { clock } from '../../i18n/format'
import type { Pending } from '../../live/state'
import { Mood } from './bits'
import { pieces } from './mentions'

/** Most messages are text: what shows files comes with the first of them. */
const Files = lazy(() => import('./files'))

/** Messages of one author within this time stand together. */
const TOGETHER_MS = 5 * 60_000

const author = (message: Message): string =>
  message.author.type === 'agent' ? message.author.user_id : message.author.type

interface Props {
  message: Message
  before: Message | undefined
  agents: ReadonlyMap<string, Agent>
  /** It was searched for. */
  marked: boolean
}

const SHAPES = {
  inbound: 'bg-bubble rounded-es-sm ring-1 ring-line',
  outbound: 'bg-own rounded-ee-sm',
  note: 'bg-note border border-note-line',
}

export const MessageRow = memo(function MessageRow({ message, before, agents, marked }: Props) {
  useStore(language, (state) => state.language)
  const { me } = live()
  const own = message.direction !== 'inbound'
  const together =
    before !== undefined &&
    author(before) === author(message) &&
    before.direction === message.direction &&
    Date.parse(message.created_at) - Date.parse(before.created_at) < TOGETHER_MS
  let name: string | undefined
  if (message.author.type === 'bot') name = message.author.name
  else if (message.author.type === 'agent' && message.author.user_id !== me.user_id) {
    name = agents.get(message.author.user_id)?.name
  }
  return (
    <div className={`flex flex-col ${own ? 'items-end' : 'items-start'} ${together ? 'pt-0.5' : 'pt-2.5'}`}>
      {name && !together && <bdi className="px-1 pb-0.5 text-[11px] text-soft">{name}</bdi>}
      <div
        className={`max-w-[min(78%,36rem)] rounded-2xl px-3 py-1.5 ${SHAPES[message.direction]} ${marked ? 'outline-2 outline-brand' : ''}`}
      >
        {message.direction === 'note' && <NoteMark />}
        <Content message={message} agents={agents} />
        <div className="flex items-center justify-end gap-1 text-[11px] text-soft">
          {message.sentiment && <Mood label={message.sentiment.label} />}
          <time dateTime={message.created_at}>{clock(message.created_at)}</time>
          {message.direction === 'outbound' && <Tick status={message.status ?? 'queued'} />}
        </div>
      </div>
      {message.status === 'failed' && <Failed message={message} />}
      {message.status === 'queued' && message.error && (
        <p className="px-1 pt-0.5 text-[11px] text-warn" dir="auto">
          {message.error.reason}
        </p>
      )}
    </div>
  )
})

function NoteMark() {
  return (
    <p className="flex items-center gap-1 text-[11px] font-medium text-warn">
      <Lock size={11} aria-hidden />
      {t('thread.note')}
    </p>
  )
}

function Content({ message, agents }: { message: Message; agents: ReadonlyMap<string, Agent> }) {
  const { text, attachments, location, interactive } = message.body
  const empty = !text && !attachments?.length && !location && !interactive
  return (
    <>
      {text && (
        <p dir="auto" className="whitespace-pre-wrap break-words">
          {message.mentions?.length ? <Mentions text={text} agents={agents} /> : <Linked text={text} />}
        </p>
      )}
      {attachments && attachments.length > 0 && (
        <Suspense fallback={<Names files={attachments} />}>
          <Files message={message} />
        </Suspense>
      )}
      {location && <Place location={location} />}
      {!text && interactive && <p className="italic text-soft">{t('thread.interactive')}</p>}
      {empty && <p className="italic text-soft">{t('thread.nothing')}</p>}
    </>
  )
}

const ADDRESS = /(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]}،؛؟])/g
const LINK = 'underline underline-offset-2 hover:no-underline'

/** A text whose web addresses can be opened. */
function Linked({ text }: { text: string }) {
  // A split by one group gives the addresses at odd places.
  return text.split(ADDRESS).map((part, index) =>
    index % 2 === 1 ? (
      <a key={index} href={part} target="_blank" rel="noreferrer noopener" dir="ltr" className={LINK}>
        {part}
      </a>
    ) : (
      part
    ),
  )
}

function Mentions({ text, agents }: { text: string; agents: ReadonlyMap<string, Agent> }) {
  return pieces(text, agents.values()).map((piece, index) => (
    <Fragment key={index}>
      {'user_id' in piece ? <bdi className="font-semibold text-brand">{piece.text}</bdi> : <Linked text={piece.text} />}
    </Fragment>
  ))
}

/** Files by their names alone. */
function Names({ files }: { files: readonly { name?: string | null; content_type: string }[] }) {
  return files.map((file, index) => (
    <p key={index} className="flex items-center gap-1.5 py-0.5">
      <Paperclip size={14} aria-hidden className="shrink-0 text-soft" />
      <bdi className="truncate">{file.name ?? file.content_type}</bdi>
    </p>
  ))
}

function Place({ location }: { location: NonNullable<Message['body']['location']> }) {
  const { latitude, longitude, label, address } = location
  return (
    <a
      href={`https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=16/${latitude}/${longitude}`}
      target="_blank"
      rel="noreferrer noopener"
      className={`flex items-center gap-1.5 py-0.5 ${LINK}`}
    >
      <MapPin size={15} aria-hidden className="shrink-0 text-soft" />
      <span dir="auto">{label ?? address ?? t('thread.location')}</span>
    </a>
  )
}

function Tick({ status }: { status: NonNullable<Message['status']> }) {
  const label = t(`message.${status}`)
  const common = { size: 14, role: 'img', 'aria-label': label } as const
  if (status === 'queued') return <Clock {...common} size={12} />
  if (status === 'sent') return <Check {...common} />
  if (status === 'failed') return <CircleAlert {...common} className="text-danger" />
  return <CheckCheck {...common} className={status === 'read' ? 'text-info' : ''} />
}

const QUIET = 'rounded px-1 font-medium underline underline-offset-2 hover:no-underline'

function Failed({ message }: { message: Message }) {
  const [error, setError] = useState<MessageId>()
  const retry = () => {
    setError(undefined)
    live()
      .desk.retryMessage(message.conversation_id, message.seq)
      .catch((caught) => setError(`error.${failure(caught).code}`))
  }
  return (
    <div className="flex max-w-[min(78%,36rem)] flex-wrap items-center justify-end gap-1 px-1 pt-0.5 text-[11px] text-danger">
      <span dir="auto">{t('message.failedWhy', { reason: message.error?.reason ?? '' })}</span>
      <button type="button" className={QUIET} onClick={retry}>
        {t('message.retry')}
      </button>
      {error && <span role="alert">{t(error)}</span>}
    </div>
  )
}

export function PendingRow({ pending }: { pending: Pending }) {
  const { desk } = live()
  const failed = pending.state === 'failed'
  const why = `error.${pending.error?.code ?? 'internal'}` as MessageId
  return (
    <div className="flex flex-col items-end pt-2.5">
      <div
        className={`max-w-[min(78%,36rem)] rounded-2xl px-3 py-1.5 ${SHAPES[pending.kind === 'note' ? 'note' : 'outbound']} ${failed ? 'ring-1 ring-danger' : 'opacity-75'}`}
      >
        {pending.kind === 'note' && <NoteMark />}
        {pending.text && (
          <p dir="auto" className="whitespace-pre-wrap break-words">
            {pending.text}
          </p>
        )}
        {pending.attachments && <Names files={pending.attachments} />}
        <div className="flex items-center justify-end gap-1 text-[11px] text-soft">
          <Clock size={12} aria-hidden />
          {failed ? t('message.failed') : t(pending.state === 'waiting' ? 'message.waiting' : 'message.sending')}
        </div>
      </div>
      {failed && (
        <p className="flex flex-wrap items-center justify-end gap-1 px-1 pt-0.5 text-[11px] text-danger">
          <span>{t(why)}</span>
          <button type="button" className={QUIET} onClick={() => desk.retryPending(pending.key)}>
            {t('message.retry')}
          </button>
          <button type="button" className={QUIET} onClick={() => desk.dropPending(pending.key)}>
            {t('message.discard')}
          </button>
        </p>
      )}
    </div>
  )
}
