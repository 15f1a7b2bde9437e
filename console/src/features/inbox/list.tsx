import { useVirtualizer } from '@tanstack/react-virtual'
import { AlarmClock, CircleCheckBig, PencilLine, UserRound } from 'lucide-react'
import { type MouseEvent, memo, useEffect, useRef } from 'react'
import { useStore } from 'zustand'
import type { Conversation } from '../../api/types'
import { useHalfMinutes } from '../../app/clock'
import { live, useDesk } from '../../app/live'
import { useAgents, useChannels, useLabels } from '../../app/people'
import { router } from '../../app/router'
import { language, type MessageId, t } from '../../i18n'
import { duration, number, short } from '../../i18n/format'
import { unread, type View, viewKey } from '../../live/view'
import { Button } from '../../ui/button'
import { Blank, Skeleton } from '../../ui/state'
import { Avatar, LabelChip, Mood, PriorityIcon } from './bits'
import { useDrafted } from './drafts'
import { selectTo, toggleSelected, useSelected, useSelectedCount } from './selection'

const ROW = 70
/** A page is asked for when so few rows are left below. */
const AHEAD = 12

interface Props {
  view: View
  chosen: string | undefined
}

export function ConversationList({ view, chosen }: Props) {
  const { desk } = live()
  const list = useDesk((state) => state.lists[viewKey(view)])
  const scroller = useRef<HTMLDivElement>(null)
  const ids = list?.ids ?? []
  const rows = useVirtualizer({
    count: ids.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 6,
    getItemKey: (index) => ids[index] ?? index,
  })
  const items = rows.getVirtualItems()
  const lastShown = items.at(-1)?.index ?? 0
  const wantsMore = list?.state === 'ready' && list.next !== undefined && lastShown >= ids.length - AHEAD
  const looking = ids.length === 0 && (list?.state === 'loading' || list?.next !== undefined)
  useEffect(() => {
    if (wantsMore) void desk.more(view)
  }, [wantsMore, desk, view])
  const place = chosen ? ids.indexOf(chosen) : -1
  const scrolledTo = useRef<string>(undefined)
  useEffect(() => {
    if (place >= 0 && scrolledTo.current !== chosen) {
      scrolledTo.current = chosen
      rows.scrollToIndex(place, { align: 'auto' })
    }
  }, [place, chosen, rows])

  // Events alone would make a forbidden view look whole.
  if (list?.state === 'failed' && (ids.length === 0 || list.error?.code === 'forbidden')) {
    const code = list.error?.code ?? 'unreachable'
    return (
      <Blank title={code === 'forbidden' ? t('list.forbidden') : t(`error.${code}`)}>
        {code !== 'forbidden' && <Button onClick={() => void desk.load(view)}>{t('error.retry')}</Button>}
      </Blank>
    )
  }
  if (!list || looking) return <Skeleton rows={8} label={t('list.loading')} />
  if (ids.length === 0) return <Nothing view={view} />
  return (
    <div ref={scroller} className="h-full overflow-y-auto" data-testid="conversations">
      <ul aria-label={t('list.label')} className="relative" style={{ height: rows.getTotalSize() }}>
        {items.map((item) => (
          <li
            key={item.key}
            aria-posinset={item.index + 1}
            aria-setsize={list.next ? -1 : ids.length}
            className="absolute inset-x-0 top-0"
            style={{ transform: `translateY(${item.start}px)` }}
          >
            <Row id={ids[item.index] as string} view={view} active={ids[item.index] === chosen} />
          </li>
        ))}
      </ul>
      {list.state === 'failed' && (
        <div className="p-3 text-center">
          {/* From its beginning: what failed may have been that, and events may be missing. */}
          <Button onClick={() => void desk.load(view)}>{t('error.retry')}</Button>
        </div>
      )}
    </div>
  )
}

function Nothing({ view }: { view: View }) {
  const hints: Record<string, MessageId> = { me: 'list.emptyMe', none: 'list.emptyNone' }
  const narrow = Object.keys(view).length > 2
  const hint = narrow ? undefined : view.status === 'open' ? hints[view.assignee] : undefined
  return (
    <Blank
      icon={<CircleCheckBig size={28} aria-hidden className="text-line-strong" />}
      title={t(narrow ? 'list.emptyFilter' : 'list.empty')}
      {...(hint ? { hint: t(hint) } : {})}
    />
  )
}

/** Opens a conversation in this tab, unless another is asked for. */
function follow(event: MouseEvent, id: string): void {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0) return
  event.preventDefault()
  void router.navigate({
    to: '/inbox/$conversationId',
    params: { conversationId: id },
    search: ({ at: _at, ...old }: Record<string, unknown>) => old,
  })
}

const Row = memo(function Row({ id, view, active }: { id: string; view: View; active: boolean }) {
  useStore(language, (state) => state.language)
  const { me } = live()
  const conversation = useDesk((state) => state.conversations.get(id))
  const typing = useDesk((state) => state.typing.get(id)?.has('contact') ?? false)
  const waits = useDesk((state) => state.pending.some((one) => one.conversation_id === id))
  const now = useHalfMinutes()
  const channels = useChannels()
  if (!conversation) return null
  const count = unread(conversation, me.user_id)
  const { contact_name: name } = conversation
  return (
    <div className="group relative">
      <a
        href={`/inbox/${id}`}
        onClick={(event) => follow(event, id)}
        aria-current={active ? 'true' : undefined}
        className={`flex h-17.5 w-full items-center gap-3 border-b border-line px-3 py-2.5 text-start transition-colors ${
          active ? 'bg-tint' : 'hover:bg-hover'
        }`}
      >
        <Avatar id={conversation.contact_id} name={name} medium={channels.get(conversation.channel_id)?.medium} />
        <span className="min-w-0 flex-1">
          <span className="flex items-baseline gap-2">
            <span
              dir="auto"
              className={`aligned min-w-0 flex-1 truncate ${count > 0 ? 'font-semibold' : 'font-medium'}`}
            >
              {name}
            </span>
            <time dateTime={conversation.last_activity_at} className="shrink-0 text-[11px] text-soft">
              {short(conversation.last_activity_at, now)}
            </time>
          </span>
          <span className="flex items-center gap-2">
            <span className={`flex min-w-0 flex-1 gap-1 text-[13px] ${count > 0 ? 'text-ink' : 'text-soft'}`}>
              {typing ? (
                <span className="text-brand">{t('thread.typing', { name: t('thread.contact') })}</span>
              ) : (
                <Preview conversation={conversation} me={me.user_id} />
              )}
            </span>
            {count > 0 && (
              <span className="inline-grid h-4.5 min-w-4.5 shrink-0 place-items-center rounded-full bg-brand px-1 text-[11px] font-semibold text-on-brand tabular-nums">
                <span aria-hidden>{count > 99 ? '99+' : number(count)}</span>
                <span className="sr-only">{t('list.unread', { count })}</span>
              </span>
            )}
          </span>
          <Marks conversation={conversation} now={now} waits={waits} view={view} />
        </span>
      </a>
      <Mark id={id} name={name} view={view} />
    </div>
  )
})

/** Marks a conversation: its box stands over the picture when the row is pointed at, or while any is marked. */
function Mark({ id, name, view }: { id: string; name: string; view: View }) {
  const checked = useSelected(id)
  const any = useSelectedCount() > 0
  const shown = any ? '' : 'opacity-0 focus-within:opacity-100 group-hover:opacity-100 max-md:hidden'
  return (
    <label className={`absolute inset-y-0 start-0 grid w-14 cursor-pointer place-items-center ${shown}`}>
      <span className="grid size-11 place-items-center rounded-full bg-panel ring-1 ring-line">
        <input
          type="checkbox"
          checked={checked}
          aria-label={t('list.select', { name })}
          className="size-4 accent-brand"
          onChange={() => undefined}
          onClick={(event) => {
            if (event.shiftKey) selectTo(id, live().desk.state.lists[viewKey(view)]?.ids ?? [])
            else toggleSelected(id)
          }}
        />
      </span>
    </label>
  )
}

interface MarksProps {
  conversation: Conversation
  now: number
  waits: boolean
  view: View
}

/** The last line of a row: what somebody must know of it without opening it. */
function Marks({ conversation, now, waits, view }: MarksProps) {
  const { me } = live()
  const labels = useLabels()
  const agents = useAgents()
  const drafted = useDrafted(conversation.id)
  const { priority, assignee } = conversation
  const wait = conversation.waiting_since ? (now - Date.parse(conversation.waiting_since)) / 1000 : 0
  const holder = view.assignee === 'all' && assignee && assignee !== me.user_id ? agents.get(assignee)?.name : undefined
  return (
    <span className="flex items-center gap-1.5 overflow-hidden text-[11px] text-soft">
      {(priority === 'urgent' || priority === 'high') && (
        <span className="inline-flex shrink-0 items-center gap-0.5 font-medium">
          <PriorityIcon priority={priority} size={12} />
          {t(`priority.${priority}`)}
        </span>
      )}
      {conversation.sentiment === 'negative' && <Mood label="negative" size={12} />}
      {wait >= 60 && (
        <span className={`inline-flex shrink-0 items-center gap-1 ${wait > 900 ? 'text-warn' : ''}`}>
          <AlarmClock size={11} aria-hidden />
          {t('list.waiting', { time: duration(wait) })}
        </span>
      )}
      {waits && <span className="shrink-0 text-warn">{t('message.sending')}</span>}
      {drafted && (
        <span className="inline-flex shrink-0 items-center gap-0.5 text-info">
          <PencilLine size={11} aria-hidden />
          {t('list.draft')}
        </span>
      )}
      {holder && (
        <span className="inline-flex min-w-0 items-center gap-0.5">
          <UserRound size={11} aria-hidden className="shrink-0" />
          <bdi className="truncate">{holder}</bdi>
        </span>
      )}
      {conversation.labels?.slice(0, 3).map((label) => (
        <LabelChip key={label} name={label} color={labels.get(label)?.color} />
      ))}
    </span>
  )
}

export function Preview({ conversation, me }: { conversation: Conversation; me: string }) {
  const message = conversation.last_message
  const mine = message?.author.type === 'agent' && message.author.user_id === me
  const who = message?.direction === 'note' ? t('list.note') : mine ? t('list.you') : undefined
  return (
    <>
      {who && <span className="shrink-0">{who}</span>}
      <span dir="auto" className="aligned min-w-0 flex-1 truncate">
        {message?.preview || (message ? t('list.attachment') : '')}
      </span>
    </>
  )
}
