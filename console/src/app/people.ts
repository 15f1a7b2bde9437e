/** Names of colleagues, channels and teams, labels, canned replies: small, seldom changing, asked for once. */
import { QueryObserver } from '@tanstack/react-query'
import { useStore } from 'zustand'
import { createStore } from 'zustand/vanilla'
import { client, of } from '../api/client'
import { queries } from '../api/queries'
import { session } from '../api/session'
import type { Agent, CannedReply, Channel, Label, SavedView, Team } from '../api/types'
import { live } from './live'

const FRESH_MS = 5 * 60_000
/** The most pages of such a list that are asked for. */
const PAGES = 20

async function pages<T>(
  page: (cursor: string | undefined) => Promise<{ items: T[]; next_cursor?: string | null }>,
): Promise<T[]> {
  const all: T[] = []
  let cursor: string | undefined
  for (let asked = 0; asked < PAGES; asked += 1) {
    const one = await page(cursor)
    all.push(...one.items)
    if (!one.next_cursor) break
    cursor = one.next_cursor
  }
  return all
}

const query = (cursor: string | undefined) => ({ params: { query: { limit: 100, ...(cursor ? { cursor } : {}) } } })

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
    () => pages((cursor) => of(client.GET('/api/v1/agents', query(cursor)))),
    (one) => one.user_id,
  )
export const useChannels = () =>
  useMapOf<Channel>(
    'channels',
    () => pages((cursor) => of(client.GET('/api/v1/channels', query(cursor)))),
    (one) => one.id,
  )
export const useLabels = () =>
  useMapOf<Label>(
    'labels',
    () => pages((cursor) => of(client.GET('/api/v1/labels', query(cursor)))),
    (one) => one.name,
  )

export const useTeams = () =>
  useMapOf<Team>(
    'teams',
    () => pages((cursor) => of(client.GET('/api/v1/teams', query(cursor)))),
    (one) => one.id,
  )
export const useCanned = () =>
  useMapOf<CannedReply>(
    'canned',
    () => pages((cursor) => of(client.GET('/api/v1/canned-replies', query(cursor)))),
    (one) => one.shortcut,
  )
export const useSavedViews = () =>
  useMapOf<SavedView>(
    'views',
    () => pages((cursor) => of(client.GET('/api/v1/saved-views', query(cursor)))),
    (one) => one.id,
  )
