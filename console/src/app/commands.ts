/**
 * What can be done here and now: one list for the palette, the keys and the map of keys on `?`.
 *
 * Keys are named by their place on the keyboard (`event.code`), so that they work on an Arabic layout as well: `KeyE`,
 * `Shift+KeyA`, `Mod+KeyK` (Ctrl, or Command on a Mac); `?` alone is named by what it writes. Keys without a modifier can be
 * switched off by whoever speaks to the machine or trembles (WCAG 2.1.4).
 */
import { type ReactNode, useEffect, useRef } from 'react'
import { createStore } from 'zustand/vanilla'
import { store, stored } from './storage'

export interface Command {
  /** Unique; `inbox.resolve`. */
  id: string
  /** In the spoken language. */
  title: string
  /** The heading under which it stands, in the spoken language. */
  group: string
  keys?: string
  icon?: ReactNode
  /** More words by which it is found. */
  words?: string
  /** Only a key, or only for the map of keys: the palette leaves it out. */
  hidden?: boolean
  run: () => void
}

type Source = () => readonly Command[]
const sources: Source[] = []

const KEYS_OFF = 'saler.keys'
export const keysOn = createStore<{ on: boolean }>()(() => ({ on: stored(KEYS_OFF) !== 'off' }))
export function switchKeys(on: boolean): void {
  store(KEYS_OFF, on ? undefined : 'off')
  keysOn.setState({ on })
}

/** All commands, those of the innermost component first; of the same id or key, the first counts. */
export function commands(): Command[] {
  const all: Command[] = []
  const ids = new Set<string>()
  for (const source of [...sources].reverse()) {
    for (const command of source()) {
      if (ids.has(command.id)) continue
      ids.add(command.id)
      all.push(command)
    }
  }
  return all
}

/** Offers commands as long as the component is there. */
export function useCommands(offered: readonly Command[]): void {
  const latest = useRef(offered)
  latest.current = offered
  useEffect(() => {
    const source = () => latest.current
    sources.push(source)
    return () => {
      sources.splice(sources.indexOf(source), 1)
    }
  }, [])
}

const writing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))

const ticking = (target: EventTarget | null): boolean =>
  target instanceof HTMLInputElement && (target.type === 'checkbox' || target.type === 'radio')

type Pressed = Pick<KeyboardEvent, 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey' | 'key' | 'code'>

/** The name of a pressed key; see above. */
export function nameOf(event: Pressed): string {
  if (event.altKey) return ''
  if (event.ctrlKey || event.metaKey) return event.shiftKey ? `Mod+Shift+${event.code}` : `Mod+${event.code}`
  if (event.key === '?' || event.key === '؟') return '?'
  return event.shiftKey ? `Shift+${event.code}` : event.code
}

/** How a key is shown: `⌘K`, `Shift+A`. */
export function shown(keys: string): string {
  const mac = /Mac|iP/.test(navigator.platform)
  const names: Record<string, string> = {
    Escape: 'Esc',
    Slash: '/',
    ArrowUp: '↑',
    ArrowDown: '↓',
    Mod: mac ? '⌘' : 'Ctrl',
  }
  return keys
    .split('+')
    .map((one) => names[one] ?? one.replace(/^(Key|Digit)/, ''))
    .join(mac ? '' : '+')
}

function pressed(event: KeyboardEvent): void {
  if (event.isComposing || event.defaultPrevented) return
  const name = nameOf(event)
  const modified = name.startsWith('Mod+')
  if (!modified && event.code !== 'Escape') {
    if (!keysOn.getState().on) return
    if (writing(event.target) && !ticking(event.target)) return
  }
  if (event.target instanceof Element && event.target.closest('[role="menu"], [role="dialog"], [data-own-keys]')) return
  const found = commands().find((one) => one.keys === name)
  if (!found) return
  event.preventDefault()
  found.run()
}

if (typeof window !== 'undefined') window.addEventListener('keydown', pressed)
