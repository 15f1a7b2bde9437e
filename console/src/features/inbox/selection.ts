/** The conversations that were marked in order to do something with all of them. */
import { useStore } from 'zustand'
import { createStore } from 'zustand/vanilla'

interface Selection {
  ids: ReadonlySet<string>
  /** The one that was marked last: from there a range reaches. */
  last: string | undefined
}

const NONE: Selection = { ids: new Set(), last: undefined }
export const selection = createStore<Selection>()(() => NONE)

export const clearSelection = (): void => selection.setState(NONE)

export function toggleSelected(id: string): void {
  const ids = new Set(selection.getState().ids)
  if (!ids.delete(id)) ids.add(id)
  selection.setState({ ids, last: id })
}

/** Marks everything from the last marked one to this one, in the order of a list. */
export function selectTo(id: string, list: readonly string[]): void {
  const { ids, last } = selection.getState()
  const from = last === undefined ? -1 : list.indexOf(last)
  const to = list.indexOf(id)
  if (from < 0 || to < 0) {
    toggleSelected(id)
    return
  }
  const range = list.slice(Math.min(from, to), Math.max(from, to) + 1)
  selection.setState({ ids: new Set([...ids, ...range]), last: id })
}

export const selectAll = (list: readonly string[]): void =>
  selection.setState({ ids: new Set(list), last: list.at(-1) })

export const useSelected = (id: string): boolean => useStore(selection, (state) => state.ids.has(id))
export const useSelectedCount = (): number => useStore(selection, (state) => state.ids.size)
