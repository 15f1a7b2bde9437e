/**
 * Sounds and desktop notifications for what concerns somebody: a message in their conversation, an assignment, a mention.
 * One tab does it for all; nothing is heard of what is old (a resumed connection replays it) nor by who is busy or away.
 */
import { createStore } from 'zustand/vanilla'
import type { Conversation, EventRecord, Me } from '../api/types'
import { t } from '../i18n'
import { isolated } from '../i18n/format'
import type { DeskState } from '../live/state'
import { store, storedJson } from './storage'
import { toast } from './toasts'

export interface Alert {
  kind: 'message' | 'assigned' | 'mentioned'
  conversation: Conversation
  text: string
}

export interface AlertWishes {
  sound: boolean
  desktop: boolean
  /** Messages in conversations that nobody has. */
  unassigned: boolean
}

const STORED = 'saler.alerts'
/** What happened longer ago than this is no news. */
const NEWS_MS = 120_000
/** Sounds are at least so far apart. */
const APART_MS = 2500

export const wishes = createStore<AlertWishes>()(() => ({
  sound: true,
  desktop: false,
  unassigned: false,
  ...storedJson<Partial<AlertWishes>>(STORED, {}),
}))

export function wishFor(part: Partial<AlertWishes>): void {
  wishes.setState(part)
  store(STORED, JSON.stringify(wishes.getState()))
}

/** What an event means to somebody, if it should be heard. */
export function alertOf(record: EventRecord, me: string, wished: AlertWishes, now: number): Alert | undefined {
  const { event, conversation, actor } = record
  if (!conversation || (actor.type === 'user' && actor.user_id === me)) return undefined
  if (now - Date.parse(record.at) > NEWS_MS) return undefined
  if (event.type === 'conversation_assigned') {
    const text = conversation.last_message?.preview ?? ''
    return event.to === me ? { kind: 'assigned', conversation, text } : undefined
  }
  if (event.type !== 'message_added') return undefined
  const { message } = event
  const text = message.body.text ?? ''
  if (message.direction === 'note') {
    return message.mentions?.includes(me) ? { kind: 'mentioned', conversation, text } : undefined
  }
  if (message.direction !== 'inbound') return undefined
  const concerned = conversation.assignee === me || (wished.unassigned && !conversation.assignee)
  return concerned ? { kind: 'message', conversation, text } : undefined
}

let leading = typeof navigator === 'undefined' || !navigator.locks
if (!leading) {
  // Held as long as the tab lives; then the next tab gets it.
  void navigator.locks.request('saler.leader', () => {
    leading = true
    return new Promise(() => undefined)
  })
}

const path = (one: Alert) => `/inbox/${one.conversation.id}`

async function open(one: Alert): Promise<void> {
  const { go } = await import('./router')
  go(path(one))
}

export function titleOf(one: Alert): string {
  return t(`alert.${one.kind}`, { name: isolated(one.conversation.contact_name) })
}

let heard = Number.NEGATIVE_INFINITY
let audio: AudioContext | undefined

/** Two soft notes, the second higher. */
export function chime(): void {
  try {
    audio ??= new AudioContext()
    const from = audio.currentTime
    for (const [index, pitch] of [660, 880].entries()) {
      const tone = audio.createOscillator()
      const volume = audio.createGain()
      const start = from + index * 0.12
      tone.frequency.value = pitch
      volume.gain.setValueAtTime(0, start)
      volume.gain.linearRampToValueAtTime(0.12, start + 0.02)
      volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.3)
      tone.connect(volume).connect(audio.destination)
      tone.start(start)
      tone.stop(start + 0.32)
    }
  } catch {
    // The browser allows no sound here yet.
  }
}

export function alertFor(record: EventRecord, me: Me, state: DeskState): void {
  const wished = wishes.getState()
  const alert = alertOf(record, me.user_id, wished, Date.now())
  if (!alert) return
  const availability = state.presence.get(me.user_id)?.availability
  if (availability === 'busy' || availability === 'away') return
  const inFront = !document.hidden && location.pathname === path(alert)
  if (!document.hidden && !inFront && alert.kind !== 'message') {
    toast({ text: titleOf(alert), action: { label: t('alert.open'), run: () => void open(alert) } })
  }
  if (!leading || inFront) return
  if (wished.sound && Date.now() - heard > APART_MS) {
    heard = Date.now()
    chime()
  }
  if (wished.desktop && document.hidden && globalThis.Notification?.permission === 'granted') show(alert)
}

function show(alert: Alert): void {
  const note = new Notification(titleOf(alert), { body: alert.text.slice(0, 140), tag: alert.conversation.id })
  note.onclick = () => {
    window.focus()
    note.close()
    void open(alert)
  }
}
