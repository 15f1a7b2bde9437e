import { Lock, SendHorizontal } from 'lucide-react'
import { type KeyboardEvent, type RefObject, useEffect, useLayoutEffect, useRef, useState } from 'react'
import type { Conversation } from '../../api/types'
import { useHalfMinutes } from '../../app/clock'
import { live } from '../../app/live'
import { t } from '../../i18n'
import { duration, moment } from '../../i18n/format'
import { Button } from '../../ui/button'
import { type Draft, draftOf, keepDraft } from './drafts'

/** Colleagues are told that somebody types at most this often. */
const TYPING_EVERY_MS = 3000
const DRAFT_AFTER_MS = 400
/** From here on the end of the reply window is shown. */
const CLOSING_SECONDS = 4 * 3600
const TALLEST_PX = 200

interface Props {
  conversation: Conversation
  field: RefObject<HTMLTextAreaElement | null>
  mode: Draft['mode']
  onMode: (mode: Draft['mode']) => void
}

export function Composer({ conversation, field, mode, onMode }: Props) {
  const { desk, socket } = live()
  const { id } = conversation
  const [text, setText] = useState(() => draftOf(id).text)
  const typed = useRef(0)
  const latest = useRef<Draft>({ mode, text })
  latest.current = { mode, text }
  useEffect(() => {
    const timer = setTimeout(() => keepDraft(id, { mode, text }), DRAFT_AFTER_MS)
    return () => clearTimeout(timer)
  }, [id, mode, text])
  // What was typed last is kept when the conversation is left.
  useEffect(() => () => keepDraft(id, latest.current), [id])
  useLayoutEffect(() => {
    const element = field.current
    if (!element) return
    element.style.height = 'auto'
    element.style.height = `${Math.min(element.scrollHeight, TALLEST_PX)}px`
  }, [text, field])

  const now = useHalfMinutes()
  const until = conversation.reply_window_until ? Date.parse(conversation.reply_window_until) : undefined
  const left = until === undefined ? undefined : (until - now) / 1000
  const closed = left !== undefined && left <= 0
  const blocked = closed && mode === 'message'

  const send = () => {
    const trimmed = text.trim()
    if (!trimmed || blocked) return
    desk.send(id, mode, trimmed)
    setText('')
    keepDraft(id, { mode, text: '' })
    field.current?.focus()
  }
  const pressed = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    send()
  }
  const change = (value: string) => {
    setText(value)
    if (mode === 'message' && value && Date.now() - typed.current > TYPING_EVERY_MS) {
      typed.current = Date.now()
      socket.hint('typing', id)
    }
  }
  const note = mode === 'note'
  return (
    <div className="border-t border-line bg-panel px-3 pb-3 pt-2">
      <div className="mx-auto max-w-3xl">
        <div className="mb-1.5 flex items-center gap-1" role="tablist" aria-label={t('composer.mode')}>
          {(['message', 'note'] as const).map((one) => (
            <button
              key={one}
              type="button"
              role="tab"
              aria-selected={mode === one}
              onClick={() => {
                onMode(one)
                field.current?.focus()
              }}
              className={`inline-flex h-6 items-center gap-1 rounded px-2 text-xs font-medium ${
                mode === one
                  ? one === 'note'
                    ? 'bg-note text-warn'
                    : 'bg-tint text-brand'
                  : 'text-soft hover:bg-hover'
              }`}
            >
              {one === 'note' && <Lock size={11} aria-hidden />}
              {t(one === 'note' ? 'composer.note' : 'composer.reply')}
            </button>
          ))}
          {left !== undefined && left > 0 && left < CLOSING_SECONDS && (
            <span className="ms-auto text-[11px] text-warn">{t('composer.closing', { time: duration(left) })}</span>
          )}
        </div>
        {blocked && until !== undefined && (
          <p role="status" className="mb-2 rounded-md bg-note px-3 py-2 text-[13px]">
            {t('composer.closed', { time: moment(until) })}
          </p>
        )}
        <div
          className={`flex items-end gap-2 rounded-xl border p-1.5 focus-within:border-brand ${
            note ? 'border-note-line bg-note' : 'border-line-strong bg-panel'
          }`}
        >
          <textarea
            ref={field}
            rows={1}
            value={text}
            disabled={blocked}
            dir={text ? 'auto' : undefined}
            maxLength={10_000}
            aria-label={t(note ? 'composer.notePlaceholder' : 'composer.placeholder')}
            placeholder={t(note ? 'composer.notePlaceholder' : 'composer.placeholder')}
            onChange={(event) => change(event.target.value)}
            onKeyDown={pressed}
            className="max-h-50 min-h-8 flex-1 resize-none bg-transparent px-2 py-1.5 outline-none disabled:opacity-60"
          />
          <Button
            look="primary"
            disabled={!text.trim() || blocked}
            onClick={send}
            title={t('composer.hint')}
            icon={<SendHorizontal size={15} aria-hidden className="rtl:-scale-x-100" />}
          >
            <span className="max-sm:sr-only">{t(note ? 'composer.add' : 'composer.send')}</span>
          </Button>
        </div>
      </div>
    </div>
  )
}
