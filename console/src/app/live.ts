/** The desk and the socket of whoever is signed in: one of each, made with the sign-in, ended with it. */
import { useStore } from 'zustand'
import { queries } from '../api/queries'
import { accessToken, session, signedOut } from '../api/session'
import type { Me } from '../api/types'
import { Desk } from '../live/desk'
import { hub } from '../live/ports'
import { LiveSocket, PROTOCOL, type SocketLike } from '../live/socket'
import type { DeskState, Pending } from '../live/state'
import { alertFor } from './notify'
import { store, storedJson } from './storage'

export interface Live {
  me: Me
  desk: Desk
  socket: LiveSocket
}

const after = (ms: number, run: () => void) => {
  const timer = setTimeout(run, ms)
  return () => clearTimeout(timer)
}

/** This tab, so that its half-dead connection gives way to its new one; a copied tab is another. */
const device = `tab-${crypto.randomUUID().slice(0, 12)}`

const outboxKey = (me: Me) => `saler.outbox.${me.workspace_id}.${me.user_id}`

function keep(me: Me, pending: readonly Pending[]): void {
  store(outboxKey(me), pending.length === 0 ? undefined : JSON.stringify(pending))
}

/** Which list a change of a setting is about; see `people`. */
const SETTINGS: Record<string, string> = {
  canned_reply: 'canned',
  canned_reply_removed: 'canned',
  team: 'teams',
  team_removed: 'teams',
  label: 'labels',
  label_removed: 'labels',
  saved_view: 'views',
  saved_view_removed: 'views',
}

let current: Live | undefined

export const seesAll = (me: Me): boolean => me.role === 'owner' || me.role === 'admin' || me.role === 'manager'
export const seesInbox = (me: Me): boolean => me.role !== 'analyst'
export const seesBoard = (me: Me): boolean => me.role !== 'agent'

/** Whose conversations somebody begins with. */
export const firstView = (me: Me): 'me' | 'all' => (seesAll(me) ? 'all' : 'me')

function make(me: Me): Live {
  const desk = new Desk({
    hub,
    me: me.user_id,
    now: () => Date.now(),
    after,
    key: () => crypto.randomUUID(),
    keep: (pending) => keep(me, pending),
    happened: (record) => alertFor(record, me, desk.state),
    // Whatever the page shows of it is asked for anew.
    setting: (kind) => void queries.invalidateQueries({ queryKey: [me.workspace_id, me.user_id, SETTINGS[kind]] }),
  })
  const topics = ['presence', ...(seesInbox(me) ? ['inbox'] : []), ...(seesBoard(me) ? ['kpis'] : [])]
  const socket = new LiveSocket({
    open: () =>
      new WebSocket(`${location.origin.replace(/^http/, 'ws')}/api/v1/socket`, [PROTOCOL]) as unknown as SocketLike,
    token: accessToken,
    device,
    topics,
    later: seesInbox(me) ? ['desk'] : [],
    joined: () => void desk.loadDesk(),
    deliver: (frames) => desk.deliver(frames),
    reset: () => desk.reset(),
    link: (link) => desk.setLink(link),
    signedOut: () => signedOut('ended'),
    now: () => Date.now(),
    random: Math.random,
    after,
    frame: (run) => {
      const handle = requestAnimationFrame(run)
      return () => cancelAnimationFrame(handle)
    },
    hidden: () => document.hidden,
  })
  desk.resumeSends(storedJson<Pending[]>(outboxKey(me), []))
  socket.start()
  return { me, desk, socket }
}

function follow(): void {
  const now = session.getState()
  const same =
    now.state === 'in' && current?.me.user_id === now.me.user_id && current.me.workspace_id === now.me.workspace_id
  if (same) return
  current?.socket.stop()
  current?.desk.end()
  current = now.state === 'in' ? make(now.me) : undefined
}

session.subscribe(follow)
window.addEventListener('online', () => current?.socket.nudge())
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) current?.socket.nudge()
})

/** Of whoever is signed in; only where somebody is. */
export function live(): Live {
  if (!current) throw new Error('nobody is signed in')
  return current
}

export function useDesk<T>(select: (state: DeskState) => T): T {
  return useStore(live().desk.store, select)
}
