import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { BookmarkPlus, ListFilter, MessagesSquare, Search, X } from 'lucide-react'
import { lazy, type RefObject, Suspense, useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { useStore } from 'zustand'
import { useCommands } from '../../app/commands'
import { firstView, live, seesInbox } from '../../app/live'
import { useAgents, useChannels, useTeams } from '../../app/people'
import { language, type MessageId, t } from '../../i18n'
import { number } from '../../i18n/format'
import { STATUSES, type View, viewKey, viewOf } from '../../live/view'
import { IconButton } from '../../ui/button'
import { Blank } from '../../ui/state'
import { pickAssignee, pickLabels, pickPriority, pickSnooze, setStatus } from './actions'
import { BulkBar } from './bulk'
import { ConversationPane } from './conversation'
import { ConversationList } from './list'
import { clearSelection, selection, toggleSelected } from './selection'
import { useCount, Views } from './views'

const SearchResults = lazy(async () => ({ default: (await import('./search')).SearchResults }))
const SaveView = lazy(() => import('./save-view'))

/** The address follows what is written in the field of the search after so long. */
const SEARCH_AFTER_MS = 250

export function InboxPage() {
  useStore(language, (state) => state.language)
  const { me } = live()
  if (!seesInbox(me)) return <Blank title={t('list.forbidden')} hint={t('error.forbiddenHint')} />
  return <Inbox />
}

/** The view of the address, loaded and kept. */
function useView(): View {
  const { desk, me } = live()
  const search = useSearch({ from: '/inbox' })
  const wanted = viewOf(search, firstView(me))
  const key = viewKey(wanted)
  const view = useMemo(() => wanted, [key])
  useEffect(() => {
    if (desk.state.lists[key]?.state !== 'ready') void desk.load(view)
    clearSelection()
  }, [desk, view, key])
  return view
}

function Inbox() {
  const { desk } = live()
  const { q } = useSearch({ from: '/inbox' })
  const { conversationId: chosen } = useParams({ strict: false })
  const navigate = useNavigate()
  const view = useView()
  const field = useRef<HTMLInputElement>(null)
  const step = useCallback(
    (by: number) => {
      const ids = desk.state.lists[viewKey(view)]?.ids ?? []
      const place = chosen ? ids.indexOf(chosen) : -1
      const at = place < 0 ? 0 : Math.max(0, Math.min(ids.length - 1, place + by))
      const next = ids[at]
      if (next) {
        const search = ({ at: _at, ...old }: Record<string, unknown>) => old
        void navigate({ to: '/inbox/$conversationId', params: { conversationId: next }, search })
      }
    },
    [desk, view, chosen, navigate],
  )
  const marked = () => [...selection.getState().ids]
  const group = t('shortcuts.list')
  const many = (id: string, keys: string, title: MessageId, run: (ids: readonly string[]) => void) => ({
    id: `bulk.${id}`,
    title: `${t(title)} (${t('bulk.selected', { count: marked().length })})`,
    group: t('bulk.label'),
    keys,
    run: () => run(marked()),
  })
  const count = useStore(selection, (state) => state.ids.size)
  useCommands([
    { id: 'list.next', title: t('shortcuts.next'), group, keys: 'KeyJ', hidden: true, run: () => step(1) },
    { id: 'list.previous', title: t('shortcuts.previous'), group, keys: 'KeyK', hidden: true, run: () => step(-1) },
    {
      id: 'list.search',
      title: t('search.title'),
      group,
      keys: 'Slash',
      icon: <Search size={15} />,
      run: () => field.current?.focus(),
    },
    {
      id: 'list.select',
      title: t('shortcuts.select'),
      group,
      keys: 'KeyX',
      hidden: true,
      run: () => chosen && toggleSelected(chosen),
    },
    ...(count > 0 ? [{ id: 'bulk.clear', title: t('bulk.clear'), group, keys: 'Escape', run: clearSelection }] : []),
    ...(count > 0 && !chosen
      ? [
          many('assign', 'Shift+KeyA', 'action.assignTo', pickAssignee),
          many('labels', 'KeyL', 'panel.labels', pickLabels),
          many('priority', 'KeyP', 'panel.priority', pickPriority),
          many('snooze', 'KeyZ', 'action.snooze', pickSnooze),
          many('resolve', 'KeyE', 'action.resolve', (ids) => setStatus(ids, 'resolved')),
        ]
      : []),
  ])
  return (
    <div className="grid h-full grid-cols-1 md:grid-cols-[19rem_minmax(0,1fr)] lg:grid-cols-[11.5rem_19rem_minmax(0,1fr)]">
      <div className="min-h-0 border-e border-line max-lg:hidden">
        <Views view={view} />
      </div>
      <section
        aria-label={t('list.label')}
        className={`relative flex min-h-0 flex-col border-line bg-panel md:border-e ${chosen ? 'max-md:hidden' : ''}`}
      >
        <Head view={view} field={field} />
        <BulkBar view={view} />
        <div className="min-h-0 flex-1">
          {q ? (
            <Suspense>
              <SearchResults words={q} />
            </Suspense>
          ) : (
            <ConversationList key={viewKey(view)} view={view} chosen={chosen} />
          )}
        </div>
      </section>
      <div className={`min-h-0 min-w-0 ${chosen ? '' : 'max-md:hidden'}`}>
        {chosen ? (
          <ConversationPane key={chosen} id={chosen} next={() => step(1)} />
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

/** What a view is called: its narrowest condition. */
function useTitle(view: View): string {
  const channels = useChannels()
  const teams = useTeams()
  const agents = useAgents()
  if (view.label) return view.label
  if (view.channel) return channels.get(view.channel)?.name ?? t('panel.channel')
  if (view.team) return view.team === 'none' ? t('assign.noTeam') : (teams.get(view.team)?.name ?? t('panel.team'))
  if (view.mentioned) return t('view.mentions')
  if (['me', 'none', 'all'].includes(view.assignee)) return t(`view.${view.assignee as 'me'}`)
  return agents.get(view.assignee)?.name ?? '…'
}

function Head({ view, field }: { view: View; field: RefObject<HTMLInputElement | null> }) {
  const [listing, setListing] = useState(false)
  const [saving, setSaving] = useState(false)
  const title = useTitle(view)
  const { conversationId: chosen } = useParams({ strict: false })
  const narrow = Object.keys(view).length > 2
  const to = chosen ? '/inbox/$conversationId' : '/inbox'
  return (
    <>
      <div className="flex items-center gap-1 px-3 pt-2">
        <h2 className="min-w-0 flex-1 truncate text-[15px] font-semibold">
          <bdi>{title}</bdi> <Count view={view} />
        </h2>
        {narrow && (
          <IconButton label={t('view.save')} onClick={() => setSaving(true)}>
            <BookmarkPlus size={16} aria-hidden />
          </IconButton>
        )}
        <Link
          to={to}
          params={{ conversationId: chosen ?? '' }}
          search={(old) => ({ ...old, unread: old.unread ? undefined : true })}
          aria-current={view.unread ? 'true' : undefined}
          className={`rounded-md px-2 py-1 text-xs ${view.unread ? 'bg-tint font-medium text-brand' : 'text-soft hover:bg-hover'}`}
        >
          {t('view.unread')}
        </Link>
        <IconButton
          label={t('view.label')}
          aria-expanded={listing}
          className="lg:hidden"
          onClick={() => setListing(!listing)}
        >
          {listing ? <X size={16} aria-hidden /> : <ListFilter size={16} aria-hidden />}
        </IconButton>
      </div>
      <SearchField field={field} />
      {listing && (
        <div className="absolute inset-x-0 bottom-0 top-11 z-20 lg:hidden">
          <Views view={view} onPick={() => setListing(false)} />
        </div>
      )}
      <nav aria-label={t('status.label')} className="flex gap-1 border-y border-line bg-sunken px-2 py-1.5">
        {STATUSES.map((one) => (
          <Link
            key={one}
            to={to}
            params={{ conversationId: chosen ?? '' }}
            search={(old) => ({ ...old, status: one === 'open' ? undefined : one })}
            aria-current={one === view.status ? 'page' : undefined}
            className={`rounded-md px-2 py-0.5 text-xs ${
              one === view.status ? 'bg-panel font-medium shadow-xs ring-1 ring-line' : 'text-soft hover:text-ink'
            }`}
          >
            {t(`status.${one}`)}
          </Link>
        ))}
      </nav>
      <Suspense>{saving && <SaveView view={view} close={() => setSaving(false)} />}</Suspense>
    </>
  )
}

function SearchField({ field }: { field: RefObject<HTMLInputElement | null> }) {
  const { q = '' } = useSearch({ from: '/inbox' })
  const [text, setText] = useState(q)
  const navigate = useNavigate()
  const said = useRef(q)
  useEffect(() => {
    // The address was changed elsewhere: by the way back, or another view.
    if (q !== said.current) setText(q)
    said.current = q
  }, [q])
  useEffect(() => {
    const timer = setTimeout(() => {
      if (text.trim() === said.current) return
      said.current = text.trim()
      void navigate({ to: '.', search: (old: object) => ({ ...old, q: text.trim() || undefined }), replace: true })
    }, SEARCH_AFTER_MS)
    return () => clearTimeout(timer)
  }, [text, navigate])
  return (
    <div className="relative px-3 py-2">
      <Search size={14} aria-hidden className="pointer-events-none absolute inset-y-0 start-5.5 my-auto text-soft" />
      <input
        ref={field}
        type="search"
        value={text}
        dir={text ? 'auto' : undefined}
        aria-label={t('search.title')}
        placeholder={t('search.placeholder')}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape') return
          event.stopPropagation()
          event.nativeEvent.stopImmediatePropagation()
          if (text) setText('')
          else field.current?.blur()
        }}
        className="h-8 w-full rounded-md border border-line bg-sunken ps-8 pe-2 text-[13px]"
      />
    </div>
  )
}

function Count({ view }: { view: View }) {
  const counted = useCount(view)
  if (!counted) return null
  const { count, more } = counted
  return (
    <span className="text-xs font-normal text-soft tabular-nums">
      <span aria-hidden>
        {number(count)}
        {more && '+'}
      </span>
      <span className="sr-only">{t(more ? 'list.countMore' : 'list.count', { count })}</span>
    </span>
  )
}
