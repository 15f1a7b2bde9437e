/** Names of colleagues, channels and teams, labels, canned replies: small, seldom changing, asked for once. */
import { QueryObserver } from '@tanstack/react-query'
import { useStore } from 'zustand'
import { createStore } from 'zustand/vanilla'
import { client, of } from '../api/client'
import { pages, paging } from '../api/pages'
import { queries } from '../api/queries'
import { session } from '../api/session'
import type { Agent, CannedReply, Channel, Label, SavedView, Team } from '../api/types'
import { live } from './live'

const FRESH_MS = 5 * 60_000
/** The lists, each asked for once however many rows of a page look at it: one watcher instead of one for each of them. */
const known = createStore<Readonly<Record<string, ReadonlyMap<string, unknown>>>>()(() => ({}))
const watchers = new Map<string, () => void>()
const EMPTY: ReadonlyMap<string, unknown> = new Map()

/** Whose lists are watched: another person, or another workspace, begins anew. */
const owner = (): string => {
  const now = session.getState()
  return now.state === 'in' ? `${now.me.workspace_id}/${now.me.user_id}` : ''
}
let watched = owner()

session.subscribe(() => {
  if (owner() === watched) return
  watched = owner()
  for (const end of watchers.values()) end()
  watchers.clear()
  known.setState({}, true)
})

function watch<T>(name: string, all: () => Promise<T[]>, key: (one: T) => string): string {
  const { me } = live()
  const id = `${me.workspace_id}/${me.user_id}/${name}`
  if (watchers.has(id)) return id
  const observer = new QueryObserver<ReadonlyMap<string, T>>(queries, {
    queryKey: [me.workspace_id, me.user_id, name],
    queryFn: async () => new Map((await all()).map((one) => [key(one), one] as const)),
    staleTime: FRESH_MS,
  })
  const take = ({ data }: { data: ReadonlyMap<string, T> | undefined }) => {
    if (data && known.getState()[id] !== data) known.setState({ [id]: data })
  }
  watchers.set(id, observer.subscribe(take))
  take(observer.getCurrentResult())
  return id
}

function useMapOf<T>(name: string, all: () => Promise<T[]>, key: (one: T) => string): ReadonlyMap<string, T> {
  const id = watch(name, all, key)
  return useStore(known, (state) => state[id] ?? EMPTY) as ReadonlyMap<string, T>
}

/** Asks for a list again, which others may have changed. */
export function askAgain(name: 'agents' | 'channels' | 'labels' | 'teams' | 'canned' | 'views'): void {
  const { me } = live()
  void queries.invalidateQueries({ queryKey: [me.workspace_id, me.user_id, name] })
}

export const useAgents = () =>
  useMapOf<Agent>(
    'agents',
    () => pages((cursor) => of(client.GET('/api/v1/agents', paging(cursor)))),
    (one) => one.user_id,
  )
export const useChannels = () =>
  useMapOf<Channel>(
    'channels',
    () => pages((cursor) => of(client.GET('/api/v1/channels', paging(cursor)))),
    (one) => one.id,
  )
export const useLabels = () =>
  useMapOf<Label>(
    'labels',
    () => pages((cursor) => of(client.GET('/api/v1/labels', paging(cursor)))),
    (one) => one.name,
  )

export const useTeams = () =>
  useMapOf<Team>(
    'teams',
    () => pages((cursor) => of(client.GET('/api/v1/teams', paging(cursor)))),
    (one) => one.id,
  )
export const useCanned = () =>
  useMapOf<CannedReply>(
    'canned',
    () => pages((cursor) => of(client.GET('/api/v1/canned-replies', paging(cursor)))),
    (one) => one.shortcut,
  )
export const useSavedViews = () =>
  useMapOf<SavedView>(
    'views',
    () => pages((cursor) => of(client.GET('/api/v1/saved-views', paging(cursor)))),
    (one) => one.id,
  )
