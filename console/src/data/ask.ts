/** The hub's API for what `schema.d.ts` does not hold or types do not help with, lists of many pages, and what a page shows while it waits. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useCallback, useState } from 'react'
import { Failure, failure, problemOf } from '../api/client'
import { type Paged, pages } from '../api/pages'
import { accessToken } from '../api/session'
import { live } from '../app/live'

interface Options {
  body?: unknown
  accept?: string
  signal?: AbortSignal
}

/** The answer to a request, whatever its kind; anything but a success is thrown as a `Failure`. */
export async function fetched(method: string, path: string, options: Options = {}): Promise<Response> {
  const token = await accessToken().catch((error: unknown) => {
    throw failure(error)
  })
  if (token === undefined) throw new Failure('unauthenticated', 'the sign-in has ended')
  const headers: Record<string, string> = {
    Authorization: `Bearer ${token}`,
    Accept: options.accept ?? 'application/json',
  }
  if (options.body !== undefined) headers['Content-Type'] = 'application/json'
  let answer: Response
  try {
    answer = await fetch(path, {
      method,
      headers,
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Failure('unreachable', String(error))
  }
  if (answer.ok) return answer
  throw await problemOf(answer.status, await answer.json().catch(() => undefined))
}

export async function ask<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const answer = await fetched(method, path, options)
  return (answer.status === 204 ? undefined : await answer.json()) as T
}

/** All of a list that only `ask` knows. */
export const listed = <T>(path: string): Promise<T[]> =>
  pages((cursor) => ask<Paged<T>>('GET', `${path}?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`))

/** The key of what belongs to whoever is signed in, in this workspace. */
export const keyOf = (...name: unknown[]): unknown[] => {
  const { me } = live()
  return [me.workspace_id, me.user_id, ...name]
}

export interface Loaded<T> {
  data: T | undefined
  failed: Failure | undefined
  again: () => void
  /** Loads it anew after a change of it, here and wherever else it is shown. */
  changed: () => Promise<void>
}

/**
 * Something of the workspace. `also` names what else shows it: both are loaded anew when either changes it, and when the hub
 * says that somebody did.
 */
export function useLoaded<T>(
  name: string,
  load: () => Promise<T>,
  options: { enabled?: boolean; also?: string[] } = {},
): Loaded<T> {
  const queries = useQueryClient()
  const key = keyOf(options.also?.[0] ?? 'settings', 'settings', name)
  const { data, error, refetch } = useQuery<T>({
    queryKey: key,
    queryFn: load,
    enabled: options.enabled ?? true,
    retry: (count, error) => count < 2 && failure(error).temporary,
  })
  const changed = async () => {
    for (const one of options.also ?? []) void queries.invalidateQueries({ queryKey: keyOf(one) })
    await queries.invalidateQueries({ queryKey: key })
  }
  return { data, failed: error ? failure(error) : undefined, again: () => void refetch(), changed }
}

export interface Act {
  busy: boolean
  failed: Failure | undefined
  /** It has succeeded since it was last begun. */
  done: boolean
  /** Runs a change; resolves to whether it succeeded. */
  run: (job: () => Promise<unknown>) => Promise<boolean>
  clear: () => void
}

/** A change that somebody asks for: one at a time, with what came of it. */
export function useAct(): Act {
  const [state, set] = useState<{ busy: boolean; failed: Failure | undefined; done: boolean }>({
    busy: false,
    failed: undefined,
    done: false,
  })
  const run = useCallback(async (job: () => Promise<unknown>) => {
    set({ busy: true, failed: undefined, done: false })
    try {
      await job()
      set({ busy: false, failed: undefined, done: true })
      return true
    } catch (error) {
      set({ busy: false, failed: failure(error), done: false })
      return false
    }
  }, [])
  const clear = useCallback(() => set({ busy: false, failed: undefined, done: false }), [])
  return { ...state, run, clear }
}
