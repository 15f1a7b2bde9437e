import { Lock, Paperclip, SendHorizontal, Zap } from 'lucide-react'
import {
  type ClipboardEvent,
  type DragEvent,
  type KeyboardEvent,
  lazy,
  type RefObject,
  Suspense,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from 'react'
import type { Conversation } from '../../api/types'
import { useHalfMinutes } from '../../app/clock'
import { live } from '../../app/live'
import { useAgents, useCanned, useChannels } from '../../app/people'
import { t } from '../../i18n'
import { match } from '../../i18n/fold'
import { duration, isolated, moment } from '../../i18n/format'
import { Button, IconButton } from '../../ui/button'
import { setStatus, snooze } from './actions'
import { firstName, matching, rendered, type Trigger, triggerAt, unfilled, type Variables } from './canned'
import { useContact } from './contact'
import { type Draft, draftOf, draftsKey, keepDraft } from './drafts'
import { mentioned } from './mentions'
import { type Suggestion, Suggestions, variableName } from './suggestions'
import { useUploads } from './uploads'

const UploadList = lazy(() => import('./upload-list'))

/** Colleagues are told that somebody types at most this often. */
const TYPING_EVERY_MS = 3000
const DRAFT_AFTER_MS = 400
/** From here on the end of the reply window is shown. */
const CLOSING_SECONDS = 4 * 3600
const TALLEST_PX = 200
const COLLEAGUES = 8
const LONGEST = 10_000

interface Props {
  conversation: Conversation
  field: RefObject<HTMLTextAreaElement | null>
  mode: Draft['mode']
  onMode: (mode: Draft['mode']) => void
  /** Opens the next conversation of the list. */
  next: () => void
}

/** What canned replies may say of a conversation. */
function useVariables(conversation: Conversation): Variables {
  const { me } = live()
  const contact = useContact(conversation.contact_id).data
  const channel = useChannels().get(conversation.channel_id)
  return {
    'contact.name': contact?.name,
    'contact.first_name': firstName(contact?.name),
    'contact.phone': contact?.phone,
    'contact.email': contact?.email,
    'agent.name': me.name,
    'agent.first_name': firstName(me.name),
    'channel.name': channel?.name,
    'workspace.name': me.workspaces.find((one) => one.workspace_id === me.workspace_id)?.name,
  }
}

/** Text that is kept as it is typed, and the number of the newest message when it was begun. */
function useDraft(id: string, mode: Draft['mode'], newest: number) {
  const [text, setText] = useState(() => draftOf(id).text)
  const [key] = useState(draftsKey)
  const begun = useRef(draftOf(id).seq ?? newest)
  const latest = useRef<Draft>({ mode, text })
  latest.current = { mode, text, seq: begun.current }
  useEffect(() => {
    const timer = setTimeout(() => keepDraft(id, latest.current, key), DRAFT_AFTER_MS)
    return () => clearTimeout(timer)
  }, [id, mode, text, key])
  // What was typed last is kept when the conversation is left, and when the tab is.
  useEffect(() => {
    const keep = () => keepDraft(id, latest.current, key)
    window.addEventListener('pagehide', keep)
    return () => {
      window.removeEventListener('pagehide', keep)
      keep()
    }
  }, [id, key])
  const write = (value: string) => {
    if (!latest.current.text) begun.current = newest
    latest.current = { ...latest.current, text: value, seq: begun.current }
    setText(value)
  }
  return { text, write, begun: begun.current }
}

/** What is offered for the word at the caret. */
function useSuggestions(trigger: Trigger | undefined, mode: Draft['mode']): Suggestion[] {
  const canned = useCanned()
  const agents = useAgents()
  const { me } = live()
  return useMemo(() => {
    if (!trigger) return []
    if (trigger.sign === '/') {
      const found = matching(canned.values(), trigger.words)
      return found.map((reply) => ({ key: reply.shortcut, kind: 'canned' as const, reply }))
    }
    if (mode !== 'note') return []
    return [...agents.values()]
      .filter((agent) => agent.active && agent.user_id !== me.user_id && match(agent.name, trigger.words) > 0)
      .slice(0, COLLEAGUES)
      .map((agent) => ({ key: agent.user_id, kind: 'person' as const, agent }))
  }, [trigger, mode, canned, agents, me])
}

export function Composer({ conversation, field, mode, onMode, next }: Props) {
  const { desk, socket, me } = live()
  const { id } = conversation
  const listbox = useId()
  const { text, write, begun } = useDraft(id, mode, conversation.last_seq)
  const [trigger, setTrigger] = useState<Trigger>()
  const [chosen, setChosen] = useState(0)
  const [warned, setWarned] = useState<string[]>([])
  const typed = useRef(0)
  const agents = useAgents()
  const variables = useVariables(conversation)
  const suggestions = useSuggestions(trigger, mode)
  const current = Math.min(chosen, suggestions.length - 1)
  useLayoutEffect(() => {
    const element = field.current
    if (!element) return
    element.style.height = 'auto'
    element.style.height = `${Math.min(element.scrollHeight, TALLEST_PX)}px`
  }, [text, field])

  const { until, left } = useWindow(conversation)
  const note = mode === 'note'
  const blocked = left !== undefined && left <= 0 && !note

  const files = useUploads()
  const [dropping, setDropping] = useState(false)
  const chooser = useRef<HTMLInputElement>(null)
  const attachable = !note && !blocked
  const carried = note ? [] : files.taken
  const sendable = Boolean(text.trim() || carried.length > 0) && !blocked && (note || !files.busy)
  const bring = (found: FileList | null, event: DragEvent | ClipboardEvent) => {
    setDropping(false)
    if (!attachable || !found?.length) return
    event.preventDefault()
    files.add([...found])
  }

  const send = (andResolve: boolean) => {
    const trimmed = text.trim()
    if (!sendable) return
    const missing = note ? [] : unfilled(trimmed)
    setWarned(missing)
    if (missing.length > 0) return
    desk.send(id, mode, trimmed, note ? { mentions: mentioned(trimmed, agents.values()) } : { attachments: carried })
    write('')
    if (!note) files.clear()
    setTrigger(undefined)
    keepDraft(id, { mode, text: '' }, draftsKey())
    field.current?.focus()
    if (!andResolve) return
    next()
    setStatus([id], 'resolved')
  }
  const look = () => {
    const element = field.current
    const found = element ? triggerAt(element.value, element.selectionStart) : undefined
    setTrigger((old) =>
      old?.from === found?.from && old?.words === found?.words && old?.sign === found?.sign ? old : found,
    )
    setChosen(0)
  }
  const insert = (from: number, to: number, what: string) => {
    const changed = text.slice(0, from) + what + text.slice(to)
    write(changed)
    setTrigger(undefined)
    requestAnimationFrame(() => {
      field.current?.focus()
      field.current?.setSelectionRange(from + what.length, from + what.length)
    })
  }
  const choose = (one: Suggestion | undefined) => {
    if (!one || !trigger) return
    const what = one.kind === 'canned' ? rendered(one.reply.text, variables).text : `@${one.agent.name} `
    insert(trigger.from, trigger.from + trigger.words.length + 1, what)
  }
  const pressed = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return
    if (suggestions.length > 0) {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key]
      if (by) setChosen((current + by + suggestions.length) % suggestions.length)
      else if (event.key === 'Enter' || event.key === 'Tab') choose(suggestions[current])
      else if (event.key === 'Escape') {
        setTrigger(undefined)
        event.nativeEvent.stopImmediatePropagation()
      } else return
      event.preventDefault()
      return
    }
    if (event.key !== 'Enter' || event.shiftKey) return
    event.preventDefault()
    send(event.ctrlKey || event.metaKey)
  }
  const change = (value: string) => {
    write(value)
    setWarned([])
    look()
    if (!note && value && Date.now() - typed.current > TYPING_EVERY_MS) {
      typed.current = Date.now()
      socket.hint('typing', id)
    }
  }
  const { last_message: newest } = conversation
  const other =
    newest?.author.type === 'agent' && newest.author.user_id !== me.user_id ? newest.author.user_id : undefined
  const overtaken = text && !note && other && newest && newest.direction === 'outbound' && newest.seq > begun
  const open = suggestions.length > 0
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: files are also chosen with the button, or pasted
    <div
      className={`border-t border-line px-3 pb-3 pt-2 ${dropping ? 'bg-tint' : 'bg-panel'}`}
      onDragOver={(event) => {
        if (!attachable || !event.dataTransfer.types.includes('Files')) return
        event.preventDefault()
        setDropping(true)
      }}
      onDragLeave={() => setDropping(false)}
      onDrop={(event) => bring(event.dataTransfer.files, event)}
      onPaste={(event) => bring(event.clipboardData.files, event)}
    >
      <div className="relative mx-auto max-w-3xl">
        {open && (
          <Suggestions id={listbox} all={suggestions} chosen={current} variables={variables} onChoose={choose} />
        )}
        <div className="mb-1.5 flex items-center gap-1">
          <Modes mode={mode} onMode={onMode} field={field} />
          {left !== undefined && left > 0 && left < CLOSING_SECONDS && (
            <span className="ms-auto text-[11px] text-warn">{t('composer.closing', { time: duration(left) })}</span>
          )}
        </div>
        {overtaken && (
          <p role="alert" className="mb-2 rounded-md bg-note px-3 py-1.5 text-[13px]">
            {t('composer.overtaken', { name: isolated(agents.get(other)?.name ?? '…') })}
          </p>
        )}
        {warned.length > 0 && (
          <p role="alert" className="mb-2 rounded-md bg-danger-tint px-3 py-1.5 text-[13px] text-danger">
            {t('composer.unfilled', { names: warned.map(variableName).join(t('list.comma')) })}
          </p>
        )}
        {blocked && until !== undefined && <Closed until={until} id={id} onNote={() => onMode('note')} />}
        {!note && files.uploads.length > 0 && (
          <Suspense>
            <UploadList uploads={files.uploads} remove={files.remove} />
          </Suspense>
        )}
        <div
          className={`flex items-end gap-1 rounded-xl border p-1.5 focus-within:border-brand ${
            note ? 'border-note-line bg-note' : 'border-line-strong bg-panel'
          }`}
        >
          <textarea
            ref={field}
            rows={1}
            value={text}
            disabled={blocked}
            dir={text ? 'auto' : undefined}
            maxLength={LONGEST}
            aria-label={t(note ? 'composer.notePlaceholder' : 'composer.placeholder')}
            aria-autocomplete="list"
            aria-controls={open ? listbox : undefined}
            aria-activedescendant={open ? `${listbox}-${current}` : undefined}
            placeholder={t(note ? 'composer.notePlaceholder' : 'composer.placeholder')}
            onChange={(event) => change(event.target.value)}
            onSelect={look}
            onBlur={() => setTrigger(undefined)}
            onKeyDown={pressed}
            className="max-h-50 min-h-8 flex-1 resize-none bg-transparent px-2 py-1.5 outline-none disabled:opacity-60"
          />
          {!note && (
            <>
              <input
                ref={chooser}
                type="file"
                multiple
                hidden
                onChange={(event) => {
                  files.add([...(event.target.files ?? [])])
                  event.target.value = ''
                }}
              />
              <IconButton label={t('composer.attach')} disabled={blocked} onClick={() => chooser.current?.click()}>
                <Paperclip size={15} aria-hidden />
              </IconButton>
            </>
          )}
          <IconButton
            label={t('composer.canned')}
            disabled={blocked}
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => {
              const at = field.current?.selectionStart ?? text.length
              insert(at, at, /(^|\s)$/.test(text.slice(0, at)) ? '/' : ' /')
              requestAnimationFrame(() => requestAnimationFrame(look))
            }}
          >
            <Zap size={15} aria-hidden />
          </IconButton>
          <Button
            look="primary"
            disabled={!sendable}
            onClick={() => send(false)}
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

/** How long the contact may still be answered freely: `undefined` where the medium knows no such window. */
function useWindow(conversation: Conversation): { until: number | undefined; left: number | undefined } {
  const now = useHalfMinutes()
  const until = conversation.reply_window_until ? Date.parse(conversation.reply_window_until) : undefined
  return { until, left: until === undefined ? undefined : (until - now) / 1000 }
}

interface ModesProps {
  mode: Draft['mode']
  onMode: (mode: Draft['mode']) => void
  field: RefObject<HTMLTextAreaElement | null>
}

function Modes({ mode, onMode, field }: ModesProps) {
  const choose = (one: Draft['mode']) => {
    onMode(one)
    requestAnimationFrame(() => field.current?.focus())
  }
  const colours = { message: 'bg-tint text-brand', note: 'bg-note text-warn' }
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset would bring its frame
    <div role="group" aria-label={t('composer.mode')} className="flex gap-1">
      {(['message', 'note'] as const).map((one) => (
        <button
          key={one}
          type="button"
          aria-pressed={mode === one}
          onClick={() => choose(one)}
          className={`inline-flex h-6 items-center gap-1 rounded px-2 text-xs font-medium ${
            mode === one ? colours[one] : 'text-soft hover:bg-hover'
          }`}
        >
          {one === 'note' && <Lock size={11} aria-hidden />}
          {t(one === 'note' ? 'composer.note' : 'composer.reply')}
        </button>
      ))}
    </div>
  )
}

/** The reply window is closed: what can be done about it. */
function Closed({ until, id, onNote }: { until: number; id: string; onNote: () => void }) {
  return (
    <div role="status" className="mb-2 rounded-md bg-note px-3 py-2 text-[13px]">
      <p>{t('composer.closed', { time: moment(until) })}</p>
      <div className="mt-1.5 flex flex-wrap gap-2">
        <Button onClick={onNote}>{t('composer.writeNote')}</Button>
        <Button onClick={() => snooze([id], undefined)}>{t('composer.snoozeReply')}</Button>
      </div>
    </div>
  )
}
