import { lazy, Suspense } from 'react'

export interface Column {
  name: string
  type: string
  meaning?: string
}

export interface Table {
  name: string
  about?: string
  columns: readonly Column[]
}

export interface Handle {
  /** Puts a text where the cursor is. */
  insert: (text: string) => void
  focus: () => void
  /** What is selected; empty if nothing is. */
  selected: () => string
}

export interface EditorProps {
  value: string
  onChange: (value: string) => void
  /** Ctrl+Enter, or Command+Enter. */
  onRun: () => void
  tables: readonly Table[]
  label: string
  hint: string
  handle?: (handle: Handle) => void
}

const Editor = lazy(() => import('./editor'))

export function SqlEditor(props: EditorProps) {
  return (
    <Suspense fallback={<div className="blink size-full bg-sunken" />}>
      <Editor {...props} />
    </Suspense>
  )
}
