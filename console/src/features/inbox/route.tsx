import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { MessagesSquare } from 'lucide-react'
import { useEffect, useMemo } from 'react'
import { useStore } from 'zustand'
import type { Status } from '../../api/types'
import { useSeconds } from '../../app/clock'
import { figure } from '../../app/figures'
import { live, seesAll, seesBoard, seesInbox, useDesk } from '../../app/live'
import { firstView } from '../../app/router'
import { useShortcuts } from '../../app/shortcuts'
import { language, t } from '../../i18n'
import { number } from '../../i18n/format'
import { type Assignee, type View, viewKey } from '../../live/desk'
import { Blank } from '../../ui/state'
import { ConversationPane } from './conversation'
import { ConversationList } from './list'

const STATUSES: readonly Status[] = ['open', 'pending', 'snoozed', 'resolved']

export function InboxPage() {
  useStore(language, (state) => state.language)
  const { me } = live()
  if (!seesInbox(me)) return <Blank title={t('list.forbidden')} />
  return <Inbox />
}

function Inbox() {
  const { desk, me } = live()
  const search = useSearch({ from: '/inbox' })
  const { conversationId: chosen } = useParams({ strict: false })
  const navigate = useNavigate()
  const assignee = search.view ?? firstView()
  const status = search.status ?? 'open'
  const view = useMemo<View>(() => ({ assignee, status }), [assignee, status])
  useEffect(() => {
    if (desk.state.lists[viewKey(view)]?.state !== 'ready') void desk.load(view)
  }, [desk, view])

  const step = (by: number) => {
    const ids = desk.state.lists[viewKey(view)]?.ids ?? []
    const place = chosen ? ids.indexOf(chosen) : by > 0 ? -1 : 0
    const next = ids[Math.max(0, Math.min(ids.length - 1, place + by))]
    if (next) void navigate({ to: '/inbox/$conversationId', params: { conversationId: next }, search: (old) => old })
  }
  useShortcuts({ KeyJ: () => step(1), KeyK: () => step(-1) })
  const views: Assignee[] = seesAll(me) ? ['me', 'none', 'all'] : ['me', 'none']
  const to = chosen ? '/inbox/$conversationId' : '/inbox'
  return (
    <div className="grid h-full grid-cols-1 md:grid-cols-[20rem_minmax(0,1fr)] lg:grid-cols-[22rem_minmax(0,1fr)]">
      <section className={`flex min-h-0 flex-col border-line md:border-e bg-panel ${chosen ? 'max-md:hidden' : ''}`}>
        {seesBoard(me) && <Strip />}
        <nav aria-label={t('view.label')} className="flex gap-4 px-3 pt-2">
          {views.map((one) => (
            <Link
              key={one}
              to={to}
              params={{ conversationId: chosen ?? '' }}
              search={{ view: one, ...(status === 'open' ? {} : { status }) }}
              aria-current={one === assignee ? 'page' : undefined}
              className={`border-b-2 pb-1.5 text-[13px] font-medium ${
                one === assignee ? 'border-brand text-ink' : 'border-transparent text-soft hover:text-ink'
              }`}
            >
              {t(`view.${one}`)}
            </Link>
          ))}
        </nav>
        <nav aria-label={t('status.label')} className="flex gap-1 border-y border-line bg-sunken px-2 py-1.5">
          {STATUSES.map((one) => (
            <Link
              key={one}
              to={to}
              params={{ conversationId: chosen ?? '' }}
              search={{ view: assignee, ...(one === 'open' ? {} : { status: one }) }}
              aria-current={one === status ? 'page' : undefined}
              className={`rounded-md px-2 py-0.5 text-xs ${
                one === status ? 'bg-panel font-medium shadow-xs ring-1 ring-line' : 'text-soft hover:text-ink'
              }`}
            >
              {t(`status.${one}`)}
            </Link>
          ))}
          <Count view={view} />
        </nav>
        <div className="min-h-0 flex-1">
          <ConversationList key={viewKey(view)} view={view} chosen={chosen} />
        </div>
      </section>
      <div className={`min-h-0 min-w-0 ${chosen ? '' : 'max-md:hidden'}`}>
        {chosen ? (
          <ConversationPane key={chosen} id={chosen} />
        ) : (
          <Blank
            icon={<MessagesSquare size={32} aria-hidden className="text-line-strong" />}
            title={t('thread.choose')}
            hint={t('thread.chooseHint')}
          />
        )}
      </div>
    </div>
  )
}

function Count({ view }: { view: View }) {
  const count = useDesk((state) => state.lists[viewKey(view)]?.ids.length ?? 0)
  const more = useDesk((state) => state.lists[viewKey(view)]?.next !== undefined)
  return (
    <span
      className="ms-auto self-center text-[11px] text-soft tabular-nums"
      title={t(more ? 'list.countMore' : 'list.count', { count })}
    >
      <span aria-hidden>
        {number(count)}
        {more && '+'}
      </span>
      <span className="sr-only">{t(more ? 'list.countMore' : 'list.count', { count })}</span>
    </span>
  )
}

const SHOWN = ['open', 'unassigned', 'waiting', 'oldest_wait_seconds'] as const

/** The four numbers that say how the workspace stands. */
function Strip() {
  const board = useDesk((state) => state.board)
  const now = useSeconds()
  return (
    <dl aria-label={t('board.strip')} className="grid grid-cols-4 border-b border-line">
      {SHOWN.map((kpi) => {
        const value = board?.values.find((one) => one.kpi === kpi && !one.channel_id && !one.agent_id)
        return (
          <div key={kpi} className="min-w-0 px-2.5 py-2 not-first:border-s not-first:border-line">
            <dd className="truncate text-[15px] font-semibold tabular-nums">{figure(value, now)}</dd>
            <dt className="truncate text-[11px] text-soft" title={t(`kpi.${kpi}`)}>
              {t(`kpi.${kpi}`)}
            </dt>
          </div>
        )
      })}
    </dl>
  )
}
