import { Link } from '@tanstack/react-router'
import { AtSign, Bookmark, CircleDashed, CircleUser, Inbox, type LucideIcon, Trash2, Users } from 'lucide-react'
import type { ReactNode } from 'react'
import { client, of } from '../../api/client'
import type { Filters, SavedView } from '../../api/types'
import { useSeconds } from '../../app/clock'
import { figure } from '../../app/figures'
import { firstView, live, seesAll, seesBoard, useDesk } from '../../app/live'
import { useChannels, useLabels, useSavedViews, useTeams } from '../../app/people'
import { toastFailure } from '../../app/toasts'
import { type MessageId, t } from '../../i18n'
import { number } from '../../i18n/format'
import { countKey, type InboxSearch, inboxSearch, type View, viewKey, viewOf } from '../../live/view'
import { LabelDot, MediumIcon } from './bits'

/** How many channels, teams and labels are listed at most. */
const MOST = 30

/** How many conversations are in a view: as the hub counts, else as far as the list is loaded. */
export function useCount(view: View): { count: number; more: boolean } | undefined {
  const { me } = live()
  const key = countKey(view, me.user_id)
  const counted = useDesk((state) => (state.counts && key ? (state.counts[key] ?? 0) : undefined))
  const loaded = useDesk((state) => state.lists[viewKey(view)]?.ids.length)
  const more = useDesk((state) => state.lists[viewKey(view)]?.next !== undefined)
  if (counted !== undefined) return { count: counted, more: false }
  return loaded === undefined ? undefined : { count: loaded, more }
}

interface EntryProps {
  search: InboxSearch
  current: View
  icon: ReactNode
  onPick?: (() => void) | undefined
  children: ReactNode
  after?: ReactNode
}

function Entry({ search, current, icon, onPick, children, after }: EntryProps) {
  const view = viewOf(search, firstView(live().me))
  const here = viewKey(view) === viewKey({ ...current, status: view.status })
  const counted = useCount(view)
  return (
    <li className="group relative">
      <Link
        to="/inbox"
        search={search}
        onClick={onPick}
        aria-current={here ? 'page' : undefined}
        className={`flex h-8 items-center gap-2.5 rounded-md px-2.5 text-[13px] ${
          here ? 'bg-tint font-medium text-brand' : 'text-soft hover:bg-hover hover:text-ink'
        }`}
      >
        <span className="grid w-4 shrink-0 place-items-center">{icon}</span>
        <span className="min-w-0 flex-1 truncate">{children}</span>
        {counted && counted.count > 0 && (
          <span className="text-[11px] tabular-nums">
            {number(counted.count)}
            {counted.more && '+'}
          </span>
        )}
      </Link>
      {after}
    </li>
  )
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="mt-4">
      <h3 className="px-2.5 pb-1 text-[11px] font-semibold text-soft">{title}</h3>
      <ul className="space-y-0.5">{children}</ul>
    </section>
  )
}

const MAIN: readonly [NonNullable<InboxSearch['view']>, LucideIcon, MessageId][] = [
  ['me', CircleUser, 'view.me'],
  ['none', CircleDashed, 'view.none'],
  ['mentions', AtSign, 'view.mentions'],
  ['all', Inbox, 'view.all'],
]

/** The views: whose conversations, saved ones, by channel, team and label. */
export function Views({ view, onPick }: { view: View; onPick?: (() => void) | undefined }) {
  const { me } = live()
  const everything = seesAll(me)
  const base = everything
    ? { view: 'all' as const }
    : { view: view.assignee === 'none' ? ('none' as const) : ('me' as const) }
  const saved = [...useSavedViews().values()]
  const channels = [...useChannels().values()].slice(0, MOST)
  const teams = [...useTeams().values()].slice(0, MOST)
  const labels = [...useLabels().values()].slice(0, MOST)
  return (
    <nav aria-label={t('view.label')} className="h-full overflow-y-auto bg-panel p-2">
      {seesBoard(me) && <Strip />}
      <ul className="space-y-0.5">
        {MAIN.filter(([one]) => everything || one !== 'all').map(([one, Icon, label]) => (
          <Entry key={one} search={{ view: one }} current={view} icon={<Icon size={15} aria-hidden />} onPick={onPick}>
            {t(label)}
          </Entry>
        ))}
      </ul>
      {saved.length > 0 && (
        <Section title={t('view.saved')}>
          {saved.map((one) => (
            <Entry
              key={one.id}
              search={searchOf(one.filters)}
              current={view}
              icon={one.shared ? <Users size={14} aria-hidden /> : <Bookmark size={14} aria-hidden />}
              onPick={onPick}
              after={one.owner === me.user_id && <Remove view={one} />}
            >
              <bdi>{one.name}</bdi>
            </Entry>
          ))}
        </Section>
      )}
      {teams.length > 0 && (
        <Section title={t('view.teams')}>
          {teams.map((one) => (
            <Entry
              key={one.id}
              search={{ ...base, team: one.id }}
              current={view}
              icon={<Users size={14} aria-hidden />}
              onPick={onPick}
            >
              <bdi>{one.name}</bdi>
            </Entry>
          ))}
        </Section>
      )}
      {channels.length > 1 && (
        <Section title={t('view.channels')}>
          {channels.map((one) => (
            <Entry
              key={one.id}
              search={{ ...base, channel: one.id }}
              current={view}
              icon={<MediumIcon medium={one.medium} size={14} />}
              onPick={onPick}
            >
              <bdi>{one.name}</bdi>
            </Entry>
          ))}
        </Section>
      )}
      {labels.length > 0 && (
        <Section title={t('panel.labels')}>
          {labels.map((one) => (
            <Entry
              key={one.name}
              search={{ ...base, label: one.name }}
              current={view}
              icon={<LabelDot color={one.color} />}
              onPick={onPick}
            >
              <bdi>{one.name}</bdi>
            </Entry>
          ))}
        </Section>
      )}
    </nav>
  )
}

/** The address of a saved view. */
export function searchOf(filters: Filters): InboxSearch {
  const { assignee, mentioned, ...rest } = filters
  const known = ['me', 'none', 'all'].includes(assignee ?? '')
  return inboxSearch({
    ...rest,
    ...(mentioned ? { view: 'mentions' } : known ? { view: assignee } : { assignee }),
  })
}

function Remove({ view }: { view: SavedView }) {
  const remove = () => {
    const params = { path: { saved_view_id: view.id } }
    of(client.DELETE('/api/v1/saved-views/{saved_view_id}', { params })).catch(toastFailure)
  }
  return (
    <button
      type="button"
      aria-label={t('view.remove', { name: view.name })}
      title={t('view.remove', { name: view.name })}
      onClick={remove}
      className="absolute inset-y-0 end-1 my-auto grid size-6 place-items-center rounded bg-panel text-soft opacity-0 hover:text-danger focus-visible:opacity-100 group-hover:opacity-100"
    >
      <Trash2 size={13} aria-hidden />
    </button>
  )
}

const SHOWN = ['open', 'unassigned', 'waiting', 'oldest_wait_seconds'] as const

/** The four numbers that say how the workspace stands. */
function Strip() {
  const board = useDesk((state) => state.board)
  const now = useSeconds()
  return (
    <dl
      aria-label={t('kpi.strip')}
      className="mb-2.5 grid grid-cols-2 gap-px overflow-hidden rounded-lg border border-line bg-line"
    >
      {SHOWN.map((kpi) => {
        const value = board?.values.find((one) => one.kpi === kpi && !one.channel_id && !one.agent_id)
        return (
          <div key={kpi} className="flex min-w-0 flex-col-reverse bg-panel px-2.5 py-1.5">
            <dt className="truncate text-[11px] text-soft" title={t(`kpi.${kpi}`)}>
              {t(`kpi.${kpi}`)}
            </dt>
            <dd className="truncate text-[15px] font-semibold tabular-nums">{figure(value, now)}</dd>
          </div>
        )
      })}
    </dl>
  )
}
