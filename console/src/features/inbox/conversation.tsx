import { useNavigate, useSearch } from '@tanstack/react-router'
import {
  AlarmClock,
  ArrowLeft,
  Check,
  CheckCheck,
  CircleUser,
  Hourglass,
  PanelRight,
  Reply,
  RotateCcw,
  StickyNote,
  Tag,
  UserMinus,
  UserPlus,
} from 'lucide-react'
import { lazy, Suspense, useDeferredValue, useEffect, useRef, useState } from 'react'
import { useStore } from 'zustand'
import { createStore } from 'zustand/vanilla'
import type { Conversation as ConversationData } from '../../api/types'
import { useCommands } from '../../app/commands'
import { live, useDesk } from '../../app/live'
import { useAgents, useChannels } from '../../app/people'
import { store, stored } from '../../app/storage'
import { t } from '../../i18n'
import { isolated, moment } from '../../i18n/format'
import { unread } from '../../live/view'
import { Button, IconButton } from '../../ui/button'
import { assignTo, pickAssignee, pickLabels, pickPriority, pickSnooze, setStatus } from './actions'
import { Avatar, PriorityIcon } from './bits'
import { Composer } from './composer'
import { draftOf } from './drafts'
import { Thread } from './thread'

/** What is known of the contact stands beside the conversation, and comes after it. */
const ContactPanel = lazy(() => import('./panel').then((module) => ({ default: module.ContactPanel })))

/** How long a message is on the screen before it counts as read. */
const READ_AFTER_MS = 400
/** Colleagues are told again that somebody looks, as often as this. */
const VIEWING_EVERY_MS = 15_000

const PANEL = 'saler.panel'
/** Whether the contact's panel is there: beside the thread where there is room, over it elsewhere. */
const panel = createStore<{ beside: boolean; over: boolean }>()(() => ({
  beside: stored(PANEL) !== 'off',
  over: false,
}))

function togglePanel(): void {
  if (matchMedia('(min-width: 80rem)').matches) {
    const beside = !panel.getState().beside
    panel.setState({ beside })
    store(PANEL, beside ? undefined : 'off')
  } else {
    panel.setState((state) => ({ over: !state.over }))
  }
}

const closePanel = (): void => panel.setState({ over: false })

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

interface PaneProps {
  id: string
  /** Opens the next conversation of the list. */
  next: () => void
}

export function ConversationPane({ id, next }: PaneProps) {
  const { me } = live()
  const conversation = useDesk((state) => state.conversations.get(id))
  // The panel may lag behind while messages pour in: writing comes first.
  const calm = useDeferredValue(conversation)
  const failed = useDesk((state) => state.threads.get(id)?.state === 'failed')
  const { at } = useSearch({ from: '/inbox' })
  const { beside, over } = useStore(panel)
  const [mode, setMode] = useState(() => draftOf(id).mode)
  const field = useRef<HTMLTextAreaElement>(null)
  const navigate = useNavigate()
  useReading(id)
  useViewing(id)

  const back = () => void navigate({ to: '/inbox', search: ({ at: _at, ...old }) => old })
  const write = (what: 'message' | 'note') => {
    setMode(what)
    requestAnimationFrame(() => field.current?.focus())
  }
  const mine = conversation?.assignee === me.user_id
  const done = conversation?.status === 'resolved'
  const finish = () => setStatus([id], done ? 'open' : 'resolved')
  const group = t('shortcuts.conversation')
  useCommands([
    {
      id: 'inbox.reply',
      title: t('shortcuts.reply'),
      group,
      keys: 'KeyR',
      icon: <Reply size={15} className="rtl:-scale-x-100" />,
      run: () => write('message'),
    },
    {
      id: 'inbox.note',
      title: t('shortcuts.note'),
      group,
      keys: 'KeyN',
      icon: <StickyNote size={15} />,
      run: () => write('note'),
    },
    {
      id: 'inbox.take',
      title: t(mine ? 'action.release' : 'action.assign'),
      group,
      keys: 'KeyA',
      icon: <UserPlus size={15} />,
      run: () => assignTo([id], mine ? null : me.user_id),
    },
    {
      id: 'inbox.assign',
      title: t('action.assignTo'),
      group,
      keys: 'Shift+KeyA',
      icon: <CircleUser size={15} />,
      run: () => pickAssignee([id]),
    },
    {
      id: 'inbox.resolve',
      title: t(done ? 'action.reopen' : 'action.resolve'),
      group,
      keys: 'KeyE',
      icon: <Check size={15} />,
      run: finish,
    },
    {
      id: 'inbox.resolveNext',
      title: t('action.resolveNext'),
      group,
      keys: 'Shift+KeyE',
      icon: <CheckCheck size={15} />,
      run: () => {
        next()
        setStatus([id], 'resolved')
      },
    },
    {
      id: 'inbox.snooze',
      title: t('action.snooze'),
      group,
      keys: 'KeyZ',
      icon: <AlarmClock size={15} />,
      run: () => pickSnooze([id]),
    },
    {
      id: 'inbox.labels',
      title: t('panel.labels'),
      group,
      keys: 'KeyL',
      icon: <Tag size={15} />,
      run: () => pickLabels([id]),
    },
    {
      id: 'inbox.priority',
      title: t('panel.priority'),
      group,
      keys: 'KeyP',
      icon: <PriorityIcon priority="high" />,
      run: () => pickPriority([id]),
    },
    {
      id: 'inbox.pending',
      title: t('action.pending'),
      group,
      icon: <Hourglass size={15} />,
      run: () => setStatus([id], 'pending'),
    },
    {
      id: 'inbox.panel',
      title: t('panel.toggle'),
      group,
      keys: 'KeyI',
      icon: <PanelRight size={15} />,
      run: togglePanel,
    },
    {
      id: 'inbox.back',
      title: t('shortcuts.back'),
      group,
      keys: 'Escape',
      hidden: true,
      run: () => {
        if (document.activeElement === field.current) field.current?.blur()
        else if (panel.getState().over) closePanel()
        else back()
      },
    },
  ])
  return (
    <div className={`relative grid h-full min-w-0 grid-cols-1 ${beside ? 'xl:grid-cols-[minmax(0,1fr)_17rem]' : ''}`}>
      <section
        aria-label={conversation?.contact_name ?? t('thread.label')}
        className="flex h-full min-h-0 min-w-0 flex-col bg-canvas"
      >
        {conversation && <Head conversation={conversation} back={back} finish={finish} />}
        <div className="min-h-0 flex-1">
          <Thread id={id} at={at} />
        </div>
        <Others id={id} />
        {conversation && !failed && (
          <Composer conversation={conversation} field={field} mode={mode} onMode={setMode} next={next} />
        )}
      </section>
      {calm && (
        <div
          className={`min-h-0 ${over ? 'max-xl:absolute max-xl:inset-y-0 max-xl:end-0 max-xl:z-20 max-xl:w-72 max-xl:max-w-full max-xl:shadow-xl' : 'max-xl:hidden'} ${beside ? '' : 'xl:hidden'}`}
        >
          <Suspense>
            <ContactPanel conversation={calm} close={closePanel} />
          </Suspense>
        </div>
      )}
    </div>
  )
}

interface HeadProps {
  conversation: ConversationData
  back: () => void
  finish: () => void
}

function Head({ conversation, back, finish }: HeadProps) {
  const { me } = live()
  const channel = useChannels().get(conversation.channel_id)
  const agents = useAgents()
  const { beside, over } = useStore(panel)
  const { id, assignee, status, snoozed_until: until } = conversation
  const mine = assignee === me.user_id
  const waiting = status === 'resolved' || status === 'snoozed'
  return (
    <header className="flex min-h-14 items-center gap-1.5 border-b border-line bg-panel px-3 py-2">
      <IconButton label={t('thread.back')} onClick={back} className="md:hidden">
        <ArrowLeft size={18} aria-hidden className="rtl:-scale-x-100" />
      </IconButton>
      <Avatar id={conversation.contact_id} name={conversation.contact_name} medium={channel?.medium} />
      <div className="min-w-0 flex-1 ps-1">
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
      <IconButton label={t('panel.labels')} onClick={() => pickLabels([id])} className="max-sm:hidden">
        <Tag size={16} aria-hidden />
      </IconButton>
      {status !== 'resolved' && (
        <IconButton label={t('action.snooze')} onClick={() => pickSnooze([id])}>
          <AlarmClock size={16} aria-hidden />
        </IconButton>
      )}
      <IconButton label={t('action.assignTo')} onClick={() => pickAssignee([id])}>
        <CircleUser size={16} aria-hidden />
      </IconButton>
      <Button
        onClick={() => assignTo([id], mine ? null : me.user_id)}
        title={t(mine ? 'action.release' : 'action.assign')}
        className="max-sm:hidden"
        icon={mine ? <UserMinus size={15} aria-hidden /> : <UserPlus size={15} aria-hidden />}
      >
        <span className="max-2xl:sr-only">{t(mine ? 'action.release' : 'action.assign')}</span>
      </Button>
      <Button
        look={waiting ? 'plain' : 'primary'}
        onClick={waiting ? () => setStatus([id], 'open') : finish}
        title={t(waiting ? 'action.reopen' : 'action.resolve')}
        icon={waiting ? <RotateCcw size={15} aria-hidden /> : <Check size={15} aria-hidden />}
      >
        <span className="max-sm:sr-only">{t(waiting ? 'action.reopen' : 'action.resolve')}</span>
      </Button>
      <IconButton label={t('panel.toggle')} aria-pressed={beside || over} onClick={togglePanel}>
        <PanelRight size={16} aria-hidden className="rtl:-scale-x-100" />
      </IconButton>
    </header>
  )
}

/** Who else is here, and who writes. */
function Others({ id }: { id: string }) {
  const typing = useDesk((state) => state.typing.get(id))
  const viewing = useDesk((state) => state.viewing.get(id))
  const agents = useAgents()
  const name = (who: string) => (who === 'contact' ? t('thread.contact') : (agents.get(who)?.name ?? '…'))
  const writers = typing ? [...typing.keys()] : []
  const colleague = writers.find((who) => who !== 'contact')
  const watchers = viewing ? [...viewing.keys()].filter((who) => !writers.includes(who)) : []
  return (
    <div role="status" className="flex flex-wrap gap-x-3 gap-y-1 px-4 pb-1 text-xs text-soft empty:hidden">
      {colleague && (
        <span className="rounded bg-note px-2 py-0.5 font-medium text-warn">
          {t('thread.colleagueTyping', { name: isolated(name(colleague)) })}
        </span>
      )}
      {writers.includes('contact') && (
        <span className="blink text-brand">{t('thread.typing', { name: name('contact') })}</span>
      )}
      {watchers.length > 0 && (
        <span>{t('thread.viewing', { names: watchers.map((who) => isolated(name(who))).join(t('list.comma')) })}</span>
      )}
    </div>
  )
}
