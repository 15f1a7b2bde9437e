/** Choosing one of many, or several, by keyboard: opened from anywhere, shown by the shell. */
import type { ReactNode } from 'react'
import { createStore } from 'zustand/vanilla'

export interface PickItem {
  id: string
  title: string
  hint?: string | undefined
  /** The heading under which it stands. */
  group?: string
  icon?: ReactNode
  keys?: string | undefined
  checked?: boolean
  /** More words by which it is found. */
  words?: string | undefined
  run: () => void
}

export interface Pick {
  title: string
  placeholder: string
  /** A hook that gives what can be chosen. */
  useItems: () => PickItem[]
  /** What is found elsewhere for the words that were written. */
  search?: (words: string) => Promise<PickItem[]>
  /** Several may be chosen: it stays open. */
  many?: boolean
}

export const picking = createStore<{ pick: Pick | undefined; opened: number }>()(() => ({ pick: undefined, opened: 0 }))

export function pick(one: Pick): void {
  picking.setState((state) => ({ pick: one, opened: state.opened + 1 }))
}

export function endPick(): void {
  picking.setState({ pick: undefined })
}
