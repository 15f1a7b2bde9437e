/** Short notices at the edge of the page: what was done, with a way back; what failed, with why. Read out politely. */
import { CircleAlert, X } from 'lucide-react'
import { useEffect } from 'react'
import { useStore } from 'zustand'
import { createStore } from 'zustand/vanilla'
import { failure } from '../api/client'
import { type MessageId, t } from '../i18n'

export interface Toast {
  text: string
  bad?: boolean
  action?: { label: string; run: () => void }
}

const SHOWN_MS = 6000
/** The most at a time: the oldest give way. */
const MOST = 3

interface Shown extends Toast {
  id: number
}
const toasts = createStore<{ all: readonly Shown[] }>()(() => ({ all: [] }))
let last = 0

export function toast(one: Toast): void {
  last += 1
  const next = { ...one, id: last }
  toasts.setState((state) => ({ all: [...state.all, next].slice(-MOST) }))
}

export function dropToast(id: number): void {
  toasts.setState((state) => ({ all: state.all.filter((one) => one.id !== id) }))
}

/** Says that something did not work, and why. */
export function toastFailure(error: unknown): void {
  toast({ text: t(`error.${failure(error).code}` as MessageId), bad: true })
}

function One({ one }: { one: Shown }) {
  useEffect(() => {
    const timer = setTimeout(() => dropToast(one.id), SHOWN_MS)
    return () => clearTimeout(timer)
  }, [one.id])
  return (
    <div className="arrive pointer-events-auto flex items-center gap-3 rounded-lg border border-line-strong bg-raised px-3.5 py-2.5 shadow-lg">
      {one.bad && <CircleAlert size={16} aria-hidden className="shrink-0 text-danger" />}
      <p className="flex-1">{one.text}</p>
      {one.action && (
        <button
          type="button"
          className="rounded px-1.5 font-medium text-brand hover:underline"
          onClick={() => {
            one.action?.run()
            dropToast(one.id)
          }}
        >
          {one.action.label}
        </button>
      )}
      <button
        type="button"
        aria-label={t('toast.close')}
        className="grid size-6 place-items-center rounded text-soft hover:bg-hover"
        onClick={() => dropToast(one.id)}
      >
        <X size={14} aria-hidden />
      </button>
    </div>
  )
}

export function Toasts() {
  const all = useStore(toasts, (state) => state.all)
  return (
    <div
      role="status"
      className="pointer-events-none fixed inset-x-3 top-14 z-50 mx-auto grid max-w-sm gap-2 sm:end-auto sm:start-4 sm:top-auto sm:bottom-4 sm:mx-0"
    >
      {all.map((one) => (
        <One key={one.id} one={one} />
      ))}
    </div>
  )
}
