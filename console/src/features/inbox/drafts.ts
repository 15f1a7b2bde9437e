/** What was begun and not sent, by conversation, kept in this browser and the same in all its tabs. */
import { useStore } from 'zustand'
import { createStore } from 'zustand/vanilla'
import { live } from '../../app/live'
import { store, storedJson } from '../../app/storage'

export interface Draft {
  mode: 'message' | 'note'
  text: string
  /** The number of the newest message when it was begun. */
  seq?: number
}

type Drafts = Readonly<Record<string, Draft>>

/** The most drafts that are kept: the oldest give way. */
const MOST = 200

/** Where the drafts of whoever is signed in are kept. */
export const draftsKey = (): string => {
  const { me } = live()
  return `saler.drafts.${me.workspace_id}.${me.user_id}`
}

const drafts = createStore<{ key: string; all: Drafts }>()(() => ({ key: '', all: {} }))

/** The drafts of whoever is signed in. */
function all(): Drafts {
  const key = draftsKey()
  if (drafts.getState().key !== key) drafts.setState({ key, all: storedJson<Drafts>(key, {}) })
  return drafts.getState().all
}

if (typeof window !== 'undefined') {
  window.addEventListener('storage', (event) => {
    const { key } = drafts.getState()
    if (event.key === key) drafts.setState({ all: storedJson<Drafts>(key, {}) })
  })
}

export function draftOf(id: string): Draft {
  return all()[id] ?? { mode: 'message', text: '' }
}

/** Whether a conversation has a draft. */
export function useDrafted(id: string): boolean {
  all()
  return useStore(drafts, (state) => state.all[id] !== undefined)
}

/** Keeps a draft among those of `key`: who left a conversation may have signed out with it, or gone to another workspace. */
export function keepDraft(id: string, draft: Draft, key: string): void {
  const isShown = drafts.getState().key === key
  const known = isShown ? drafts.getState().all : storedJson<Drafts>(key, {})
  const { [id]: old, ...rest } = known
  if (draft.text === (old?.text ?? '') && draft.mode === (old?.mode ?? draft.mode)) return
  const entries = Object.entries(rest).slice(1 - MOST)
  if (draft.text) entries.push([id, draft])
  const next = Object.fromEntries(entries)
  if (isShown) drafts.setState({ all: next })
  store(key, entries.length > 0 ? JSON.stringify(next) : undefined)
}
