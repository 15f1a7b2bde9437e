/**
 * Who is signed in. The access token lives in memory; the refresh token, which is good once, in a cookie that no script can
 * read. Local storage only says that there is one, so that other tabs hear of a sign-out; a lock keeps them from using it
 * twice.
 */
import { createStore } from 'zustand/vanilla'
import { store, stored } from '../app/storage'
import type { Me, Tokens } from './types'

const SIGNED_IN = 'saler.session'
const LOCK = 'saler.session'
/** An access token is renewed when it has less than this left. */
const RENEW_BEFORE_MS = 30_000

export type Session = { state: 'restoring' } | { state: 'out'; reason?: 'ended' } | { state: 'in'; me: Me }

export const session = createStore<Session>()(() => ({ state: 'restoring' }) as Session)

let access: { token: string; expires: number } | undefined

function put(next: Session): void {
  session.setState(next, true)
}

export function signedIn(tokens: Tokens): void {
  access = { token: tokens.access_token, expires: Date.now() + tokens.expires_in * 1000 }
  store(SIGNED_IN, 'cookie')
  put({ state: 'in', me: tokens.me })
}

export function signedOut(reason?: 'ended'): void {
  access = undefined
  store(SIGNED_IN, undefined)
  put(reason ? { state: 'out', reason } : { state: 'out' })
}

async function post(path: string, body: unknown): Promise<Response> {
  return fetch(`/api/v1/auth/${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
}

async function locked<T>(run: () => Promise<T>): Promise<T> {
  return navigator.locks ? ((await navigator.locks.request(LOCK, run)) as T) : run()
}

let renewing: Promise<string | undefined> | undefined

/** New tokens; `undefined` if the sign-in has ended. Rejects if the hub cannot be reached or cannot answer now. */
function renew(): Promise<string | undefined> {
  renewing ??= locked(async () => {
    if (!stored(SIGNED_IN)) {
      signedOut('ended')
      return undefined
    }
    const answer = await post('refresh', {})
    if (answer.status === 401) {
      signedOut('ended')
      return undefined
    }
    if (!answer.ok) throw new Error(`the hub answers ${answer.status}`)
    const tokens = (await answer.json()) as Tokens
    signedIn(tokens)
    return tokens.access_token
  }).finally(() => {
    renewing = undefined
  })
  return renewing
}

/** A good access token; see `renew`. */
export async function accessToken(fresh = false): Promise<string | undefined> {
  if (access && !fresh && access.expires - Date.now() > RENEW_BEFORE_MS) return access.token
  return renew()
}

/** Takes up the sign-in of an earlier visit. While the hub cannot be reached, `restoring` stays: call again. */
export async function restore(): Promise<void> {
  if (stored(SIGNED_IN)) await renew()
  else put({ state: 'out' })
}

/** Ends the sign-in, here at once, at the hub when it hears of it. */
export async function signOut(): Promise<void> {
  signedOut()
  await locked(() => post('sign-out', {})).catch(() => undefined)
}

if (typeof window !== 'undefined') {
  // Another tab signed out: so does this one.
  window.addEventListener('storage', (event) => {
    if (event.key === SIGNED_IN && event.newValue === null && session.getState().state === 'in') {
      access = undefined
      put({ state: 'out' })
    }
  })
}
