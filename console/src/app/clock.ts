/** One clock for all that shows how long ago something was. */
import { useSyncExternalStore } from 'react'

function ticking(everyMs: number) {
  const listeners = new Set<() => void>()
  let now = Date.now()
  let timer: ReturnType<typeof setInterval> | undefined
  const subscribe = (listener: () => void) => {
    listeners.add(listener)
    timer ??= setInterval(() => {
      now = Date.now()
      for (const one of listeners) one()
    }, everyMs)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) {
        clearInterval(timer)
        timer = undefined
      }
    }
  }
  return () => useSyncExternalStore(subscribe, () => now)
}

export const useSeconds = ticking(1000)
export const useHalfMinutes = ticking(30_000)
