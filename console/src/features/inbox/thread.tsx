import { useVirtualizer } from '@tanstack/react-virtual'
import { ArrowDown } from 'lucide-react'
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'
import type { Message } from '../../api/types'
import { live, useDesk } from '../../app/live'
import { useAgents } from '../../app/people'
import { toastFailure } from '../../app/toasts'
import { t } from '../../i18n'
import { day, sameDay } from '../../i18n/format'
import type { Pending } from '../../live/state'
import { unread } from '../../live/view'
import { atEnd, first } from '../../live/window'
import { Button } from '../../ui/button'
import { Blank, Skeleton } from '../../ui/state'
import { MessageRow, PendingRow } from './message'

/** A page is asked for when so few messages are left on a side. */
const AHEAD = 10
const END_PX = 60
/** So long, the rows about a message that was asked for are still being measured. */
const SETTLED_MS = 250

/** What was not confirmed yet and is not among the messages. */
function waiting(messages: readonly Message[], pending: readonly Pending[]): readonly Pending[] {
  if (pending.length === 0) return pending
  const known = new Set(messages.map((message) => message.client_key))
  return pending.filter((one) => !known.has(one.key))
}

/** The number of the first message that was unread when the conversation was opened; 0 if there was none. */
function useFirstUnread(id: string, ready: boolean): number {
  const [found, setFound] = useState(0)
  useEffect(() => {
    if (!ready) return
    const { desk, me } = live()
    const conversation = desk.state.conversations.get(id)
    const messages = desk.state.threads.get(id)?.window.messages ?? []
    let left = conversation ? unread(conversation, me.user_id) : 0
    let seq = 0
    for (let index = messages.length - 1; index >= 0 && left > 0; index -= 1) {
      const message = messages[index]
      if (message?.direction !== 'inbound') continue
      left -= 1
      seq = message.seq
    }
    setFound(seq > 1 ? seq : 0)
  }, [id, ready])
  return found
}

/** A conversation's messages, at the end of it or at the message with the number `at`. */
export function Thread({ id, at }: { id: string; at: number | undefined }) {
  const { desk } = live()
  const thread = useDesk((state) => state.threads.get(id))
  useEffect(() => {
    void desk.open(id)
    return () => desk.close(id)
  }, [id, desk])
  if (!thread || thread.state === 'loading') return <Skeleton rows={6} label={t('thread.loading')} />
  if (thread.state === 'failed') {
    return (
      <Blank title={t(`error.${thread.error?.code ?? 'unreachable'}`)}>
        <Button onClick={() => void desk.open(id)}>{t('error.retry')}</Button>
      </Blank>
    )
  }
  return <Messages key={id} id={id} at={at} />
}

function Messages({ id, at }: { id: string; at: number | undefined }) {
  const { desk } = live()
  const thread = useDesk((state) => state.threads.get(id))
  const everything = useDesk((state) => state.pending)
  const scroller = useRef<HTMLDivElement>(null)
  const agents = useAgents()
  const window = thread?.window
  const messages = window?.messages ?? []
  const freshFrom = useFirstUnread(id, thread?.state === 'ready')
  const pending = useMemo(() => everything.filter((one) => one.conversation_id === id), [everything, id])
  const unconfirmed = useMemo(() => waiting(messages, pending), [messages, pending])
  const count = messages.length + unconfirmed.length
  const [below, setBelow] = useState(false)
  const rows = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => 64,
    overscan: 8,
    getItemKey: (index) => {
      const message = messages[index]
      return message ? (message.client_key ?? message.id) : (unconfirmed[index - messages.length]?.key ?? index)
    },
    anchorTo: 'end',
    followOnAppend: true,
    scrollEndThreshold: END_PX,
    paddingStart: 12,
    paddingEnd: 12,
  })
  const opened = useRef(false)
  useLayoutEffect(() => {
    if (opened.current || count === 0) return
    opened.current = true
    if (!at) rows.scrollToEnd()
  })
  // A message that was asked for is brought into the window, then onto the screen; no page may come between.
  const wanted = at ? at - (messages[0]?.seq ?? at + 1) : -1
  const [brought, setBrought] = useState<number>()
  const bringing = at !== undefined && brought !== at
  useEffect(() => {
    if (!bringing || at === undefined) return
    if (wanted < 0 || wanted >= messages.length) {
      void desk.show(id, at).catch((error) => {
        toastFailure(error)
        setBrought(at)
      })
      return
    }
    rows.scrollToIndex(wanted, { align: 'center' })
    // The rows about it are measured first; then it stays where it is.
    const timer = setTimeout(() => setBrought(at), SETTLED_MS)
    return () => clearTimeout(timer)
  }, [bringing, at, wanted, messages.length, desk, id, rows])
  // What was written here is looked at at once, wherever the reader was.
  const newestKey = pending.at(-1)?.key
  useEffect(() => {
    if (newestKey) void desk.toEnd(id).then(() => rows.scrollToEnd())
  }, [newestKey, rows, desk, id])

  const shown = rows.getVirtualItems()
  const top = shown[0]?.index ?? 0
  const bottom = shown.at(-1)?.index ?? 0
  const more = window !== undefined && first(window) > 1
  const ended = window !== undefined && atEnd(window)
  const paging = thread?.paging ?? false
  useEffect(() => {
    if (paging || count === 0 || bringing) return
    if (top < AHEAD && more) void desk.before(id)
    else if (bottom > count - AHEAD && !ended) void desk.after(id)
  }, [top, bottom, more, ended, paging, bringing, count, desk, id])

  // How many came while the reader was further up.
  const newest = window?.newest ?? 0
  const seen = useRef(newest)
  if (!below && ended) seen.current = newest
  const fresh = newest - seen.current

  const scrolled = () => {
    const element = scroller.current
    if (!element) return
    const away = element.scrollHeight - element.scrollTop - element.clientHeight > END_PX * 2
    setBelow(away)
    desk.follow(id, !away && ended)
  }
  const toEnd = () => {
    void desk.toEnd(id).then(() => rows.scrollToEnd())
  }
  if (count === 0) return <Blank title={t('thread.empty')} />
  return (
    <div className="relative h-full">
      <section
        ref={scroller}
        onScroll={scrolled}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
        tabIndex={0}
        aria-label={t('thread.label')}
        className="h-full overflow-y-auto overflow-x-hidden"
      >
        <ol className="relative mx-auto w-full max-w-3xl" style={{ height: rows.getTotalSize() }}>
          {shown.map((item) => {
            const message = messages[item.index]
            const before = messages[item.index - 1]
            const one = unconfirmed[item.index - messages.length]
            return (
              <li
                key={item.key}
                data-index={item.index}
                className="absolute inset-x-0 top-0 px-4"
                ref={rows.measureElement}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                {message && !(before && sameDay(before.created_at, message.created_at)) && (
                  <Divider text={day(message.created_at)} />
                )}
                {message?.seq === freshFrom && <Divider text={t('thread.unreadHere')} loud />}
                {message && (
                  <MessageRow message={message} before={before} agents={agents} marked={message.seq === at} />
                )}
                {one && <PendingRow pending={one} />}
              </li>
            )
          })}
        </ol>
      </section>
      {(below || !ended) && (
        <button
          type="button"
          onClick={toEnd}
          className="absolute bottom-3 start-1/2 inline-flex -translate-x-1/2 items-center gap-1.5 rounded-full border border-line bg-raised px-3 py-1.5 text-xs font-medium shadow-md hover:bg-hover rtl:translate-x-1/2"
        >
          <ArrowDown size={14} aria-hidden />
          {fresh > 0 ? t('thread.newBelow', { count: fresh }) : t('thread.toEnd')}
        </button>
      )}
    </div>
  )
}

function Divider({ text, loud = false }: { text: string; loud?: boolean }) {
  return (
    <div className={`flex items-center gap-3 py-3 text-[11px] font-medium ${loud ? 'text-brand' : 'text-soft'}`}>
      <span className={`h-px flex-1 ${loud ? 'bg-brand' : 'bg-line'}`} />
      {text}
      <span className={`h-px flex-1 ${loud ? 'bg-brand' : 'bg-line'}`} />
    </div>
  )
}
