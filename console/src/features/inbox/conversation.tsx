import { useNavigate } from '@tanstack/react-router'
import { AlarmClock, ArrowLeft, Check, RotateCcw, UserMinus, UserPlus } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { failure } from '../../api/client'
import type { Conversation as ConversationData } from '../../api/types'
import { live, useDesk } from '../../app/live'
import { useAgents, useChannels } from '../../app/people'
import { useShortcuts } from '../../app/shortcuts'
import { type MessageId, t } from '../../i18n'
import { moment } from '../../i18n/format'
import { unread } from '../../live/desk'
import type { ConversationChange } from '../../live/ports'
import { Button, buttonClass, IconButton } from '../../ui/button'
import { Menu } from '../../ui/menu'
import { Avatar } from './bits'
import { Composer } from './composer'
import { draftOf } from './drafts'
import { ContactPanel } from './panel'
import { Thread } from './thread'

/** How long a message is on the screen before it counts as read. */
const READ_AFTER_MS = 400
/** Colleagues are told again that somebody looks, as often as this. */
const VIEWING_EVERY_MS = 15_000
const HOUR_MS = 3600_000

function at(days: number, hour: number): string {
  const date = new Date()
  date.setDate(date.getDate() + days)
  date.setHours(hour, 0, 0, 0)
  return date.toISOString()
}

/** Says that what is on the screen has been read, while somebody can see it. */
function useReading(id: string): void {
  const { desk, me } = live()
  const seq = useDesk((state) => {
    const thread = state.threads.get(id)
    const conversation = state.conversations.get(id)
    const seen = thread?.state === 'ready' && thread.following && conversation && unread(conversation, me.user_id) > 0
    return seen ? conversation.last_seq : 0
  })
  const [visible, setVisible] = useState(!document.hidden)
  useEffect(() => {
    const changed = () => setVisible(!document.hidden)
    document.addEventListener('visibilitychange', changed)
    return () => document.removeEventListener('visibilitychange', changed)
  }, [])
  useEffect(() => {
    if (!seq || !visible) return
    const timer = setTimeout(() => void desk.markRead(id, seq), READ_AFTER_MS)
    return () => clearTimeout(timer)
  }, [id, seq, visible, desk])
}

function useViewing(id: string): void {
  const { socket } = live()
  const isLive = useDesk((state) => state.link.state === 'live')
  useEffect(() => {
    if (!isLive) return
    const say = () => {
      if (!document.hidden) socket.hint('viewing', id)
    }
    say()
    const timer = setInterval(say, VIEWING_EVERY_MS)
    return () => clearInterval(timer)
  }, [id, isLive, socket])
}

export function ConversationPane({ id }: { id: string }) {
  const conversation = useDesk((state) => state.conversations.get(id))
  const failed = useDesk((state) => state.threads.get(id)?.state === 'failed')
  const [mode, setMode] = useState(() => draftOf(id).mode)
  const field = useRef<HTMLTextAreaElement>(null)
  const [error, setError] = useState<MessageId>()
  const navigate = useNavigate()
  useReading(id)
  useViewing(id)

  const { desk, me } = live()
  const change = (wish: ConversationChange) => {
    setError(undefined)
    desk.change(id, wish).catch((caught) => setError(`error.${failure(caught).code}`))
  }
  const back = () => void navigate({ to: '/inbox', search: (old) => old })
  const write = (next: 'message' | 'note') => {
    setMode(next)
    requestAnimationFrame(() => field.current?.focus())
  }
  const mine = conversation?.assignee === me.user_id
  const done = conversation?.status === 'resolved'
  useShortcuts({
    KeyR: () => write('message'),
    KeyN: () => write('note'),
    KeyE: () => change({ status: done ? 'open' : 'resolved' }),
    KeyA: () => change({ assignee: mine ? null : me.user_id }),
    Escape: () => {
      if (document.activeElement === field.current) field.current?.blur()
      else back()
    },
  })
  return (
    <div className="grid h-full min-w-0 grid-cols-1 xl:grid-cols-[minmax(0,1fr)_17rem]">
      <section className="flex h-full min-h-0 min-w-0 flex-col bg-canvas">
        {conversation && <Head conversation={conversation} change={change} back={back} />}
        {error && (
          <p role="alert" className="border-b border-line bg-danger-tint px-4 py-2 text-danger">
            {t(error)}
          </p>
        )}
        <div className="min-h-0 flex-1">
          <Thread id={id} />
        </div>
        <Others id={id} />
        {conversation && !failed && <Composer conversation={conversation} field={field} mode={mode} onMode={setMode} />}
      </section>
      <div className="min-h-0 max-xl:hidden">{conversation && <ContactPanel conversation={conversation} />}</div>
    </div>
  )
}

interface HeadProps {
  conversation: ConversationData
  change: (wish: ConversationChange) => void
  back: () => void
}

function Head({ conversation, change, back }: HeadProps) {
  const { me } = live()
  const channel = useChannels().get(conversation.channel_id)
  const agents = useAgents()
  const { assignee, status } = conversation
  const mine = assignee === me.user_id
  const until = conversation.snoozed_until
  const snooze = (snoozed_until: string) => change({ status: 'snoozed', snoozed_until })
  return (
    <header className="flex min-h-14 items-center gap-2 border-b border-line bg-panel px-3 py-2">
      <IconButton label={t('thread.back')} onClick={back} className="md:hidden">
        <ArrowLeft size={18} aria-hidden className="rtl:-scale-x-100" />
      </IconButton>
      <Avatar id={conversation.contact_id} name={conversation.contact_name} medium={channel?.medium} />
      <div className="min-w-0 flex-1">
        <h1 className="truncate text-[15px] font-semibold">
          <bdi>{conversation.contact_name}</bdi>
        </h1>
        <p className="truncate text-xs text-soft">
          {t(`status.${status}`)}
          {' · '}
          {assignee ? <bdi>{mine ? me.name : (agents.get(assignee)?.name ?? '…')}</bdi> : t('panel.nobody')}
          {status === 'snoozed' &&
            ` · ${until ? t('thread.snoozedUntil', { time: moment(until) }) : t('thread.snoozedReply')}`}
        </p>
      </div>
      <Button
        look="plain"
        onClick={() => change({ assignee: mine ? null : me.user_id })}
        title={t(mine ? 'action.release' : 'action.assign')}
        icon={mine ? <UserMinus size={15} aria-hidden /> : <UserPlus size={15} aria-hidden />}
      >
        <span className="max-lg:sr-only">{t(mine ? 'action.release' : 'action.assign')}</span>
      </Button>
      {status !== 'resolved' && (
        <Menu
          trigger={
            <button type="button" className={buttonClass('plain')} title={t('action.snooze')}>
              <AlarmClock size={15} aria-hidden />
              <span className="max-lg:sr-only">{t('action.snooze')}</span>
            </button>
          }
          entries={[
            { label: t('snooze.reply'), run: () => change({ status: 'snoozed' }) },
            { label: t('snooze.hour'), run: () => snooze(new Date(Date.now() + HOUR_MS).toISOString()) },
            { label: t('snooze.tomorrow'), run: () => snooze(at(1, 9)) },
            { label: t('snooze.week'), run: () => snooze(at(7, 9)) },
          ]}
        />
      )}
      {status === 'resolved' || status === 'snoozed' ? (
        <Button
          onClick={() => change({ status: 'open' })}
          title={t('action.reopen')}
          icon={<RotateCcw size={15} aria-hidden />}
        >
          <span className="max-sm:sr-only">{t('action.reopen')}</span>
        </Button>
      ) : (
        <Button
          look="primary"
          onClick={() => change({ status: 'resolved' })}
          title={t('action.resolve')}
          icon={<Check size={15} aria-hidden />}
        >
          <span className="max-sm:sr-only">{t('action.resolve')}</span>
        </Button>
      )}
    </header>
  )
}

/** Who else is here, and who writes. */
function Others({ id }: { id: string }) {
  const typing = useDesk((state) => state.typing.get(id))
  const viewing = useDesk((state) => state.viewing.get(id))
  const agents = useAgents()
  const name = (who: string) => (who === 'contact' ? t('thread.contact') : (agents.get(who)?.name ?? '…'))
  const writer = typing && [...typing.keys()][0]
  const watchers = viewing ? [...viewing.keys()].filter((who) => who !== writer) : []
  if (!writer && watchers.length === 0) return null
  return (
    <p role="status" className="flex gap-3 px-4 pb-1 text-xs text-soft">
      {writer && <span className="blink text-brand">{t('thread.typing', { name: name(writer) })}</span>}
      {watchers.length > 0 && <span>{t('thread.viewing', { names: watchers.map(name).join(', ') })}</span>}
    </p>
  )
}
