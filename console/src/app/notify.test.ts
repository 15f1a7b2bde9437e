import { describe, expect, it } from 'vitest'
import type { EventRecord } from '../api/types'
import { type AlertWishes, alertOf } from './notify'

const AT = '2026-11-22T09:00:00.000000Z'
const NOW = Date.parse(AT) + 1000
const WISHES: AlertWishes = { sound: true, desktop: true, unassigned: false }

const record = (event: object, assignee: string | null, actor: object = { type: 'system' }, at = AT): EventRecord =>
  ({ at, actor, event, conversation: { id: 'c', contact_name: 'Sara', assignee } }) as unknown as EventRecord
const inbound = { type: 'message_added', message: { direction: 'inbound', body: { text: 'hi' } } }
const note = { type: 'message_added', message: { direction: 'note', body: { text: '@me' }, mentions: ['me'] } }

describe('an alert', () => {
  const kind = (one: EventRecord, wishes = WISHES) => alertOf(one, 'me', wishes, NOW)?.kind

  it('is for what concerns the reader', () => {
    expect(kind(record(inbound, 'me'))).toBe('message')
    expect(kind(record(inbound, 'other'))).toBeUndefined()
    expect(kind(record(inbound, null))).toBeUndefined()
    expect(kind(record(inbound, null), { ...WISHES, unassigned: true })).toBe('message')
    expect(kind(record(note, 'other'))).toBe('mentioned')
    expect(kind(record({ type: 'conversation_assigned', to: 'me' }, 'me'))).toBe('assigned')
    expect(kind(record({ type: 'conversation_assigned', to: 'other' }, 'other'))).toBeUndefined()
    const own = { type: 'message_added', message: { direction: 'outbound', body: {} } }
    expect(kind(record(own, 'me'))).toBeUndefined()
  })

  it('is not for what the reader did, nor for what is long over', () => {
    expect(
      kind(record({ type: 'conversation_assigned', to: 'me' }, 'me', { type: 'user', user_id: 'me' })),
    ).toBeUndefined()
    expect(kind(record(inbound, 'me', { type: 'system' }, '2026-11-22T08:00:00.000000Z'))).toBeUndefined()
  })
})
