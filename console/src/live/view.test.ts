import { describe, expect, it } from 'vitest'
import type { Conversation } from '../api/types'
import { belongs, countKey, inboxSearch, parameters, type View, viewKey, viewOf } from './view'

const ME = 'me-id'
const conversation = (more: Partial<Conversation> = {}): Conversation => ({
  id: 'c',
  channel_id: 'sms',
  contact_id: 'k',
  contact_name: 'Sara',
  contact_address: '+966500000000',
  status: 'open',
  created_at: '2026-11-22T09:00:00.000000Z',
  opened_at: '2026-11-22T09:00:00.000000Z',
  last_activity_at: '2026-11-22T09:00:00.000000Z',
  last_seq: 1,
  ...more,
})
const view = (more: Partial<View> = {}): View => ({ assignee: 'all', status: 'open', ...more })

describe('an address', () => {
  it('is taken as far as it is understood', () => {
    expect(inboxSearch({ view: 'mentions', status: 'closed', label: '', unread: 'true', at: '12', other: 1 })).toEqual({
      view: 'mentions',
      unread: true,
      at: 12,
    })
    expect(inboxSearch({ view: 'theirs', priority: 'urgent', q: 42, at: -1 })).toEqual({ priority: 'urgent', q: '42' })
    expect(inboxSearch({ label: 'x'.repeat(500) })).toEqual({})
  })

  it('asks for a view, which has one key whatever the order of its words', () => {
    expect(viewOf({}, 'me')).toEqual({ assignee: 'me', status: 'open' })
    expect(viewOf({ view: 'mentions' }, 'me')).toEqual({ assignee: 'all', status: 'open', mentioned: true })
    const a = viewOf({ label: 'vip', channel: 'sms', view: 'all' }, 'me')
    const b = viewOf({ view: 'all', channel: 'sms', label: 'vip' }, 'me')
    expect(viewKey(a)).toBe(viewKey(b))
    expect(viewKey(a)).not.toBe(viewKey(viewOf({ view: 'all', label: 'vip' }, 'me')))
  })

  it('becomes the parameters of the list: mentions go without an assignee', () => {
    expect(parameters(view({ mentioned: true }))).toEqual({ status: 'open', mentioned: true })
    expect(parameters(view({ label: 'vip' }))).toEqual({ status: 'open', assignee: 'all', label: 'vip' })
  })
})

describe('a view', () => {
  it('holds what fits every condition', () => {
    const one = conversation({ assignee: ME, labels: ['vip'], priority: 'high', team: 't', inbound_count: 2 })
    expect(belongs(one, view({ assignee: 'me', label: 'vip', priority: 'high', team: 't', unread: true }), ME)).toBe(
      true,
    )
    expect(belongs(one, view({ assignee: 'none' }), ME)).toBe(false)
    expect(belongs(one, view({ assignee: ME }), 'other')).toBe(true)
    expect(belongs(one, view({ status: 'resolved' }), ME)).toBe(false)
    expect(belongs(one, view({ label: 'new' }), ME)).toBe(false)
    expect(belongs(one, view({ channel: 'whatsapp' }), ME)).toBe(false)
    expect(belongs(one, view({ team: 'none' }), ME)).toBe(false)
    expect(belongs(conversation(), view({ team: 'none', priority: 'normal' }), ME)).toBe(true)
    expect(belongs(conversation({ inbound_count: 1, reads: { [ME]: 1 } }), view({ unread: true }), ME)).toBe(false)
  })

  it('of mentions asks who takes part, not who handles it', () => {
    const one = conversation({ assignee: 'other', participants: [ME] })
    expect(belongs(one, view({ assignee: 'none', mentioned: true }), ME)).toBe(true)
    expect(belongs(conversation({ assignee: ME }), view({ mentioned: true }), ME)).toBe(false)
  })

  it('is counted where the hub counts it', () => {
    expect(countKey(view({ assignee: 'me' }), ME)).toBe(`open/${ME}`)
    expect(countKey(view({ assignee: 'none', status: 'resolved' }), ME)).toBe('resolved/none')
    expect(countKey(view({ mentioned: true }), ME)).toBe(`open/mentioned:${ME}`)
    expect(countKey(view({ team: 't' }), ME)).toBe('open/team:t')
    expect(countKey(view({ channel: 'sms', status: 'snoozed' }), ME)).toBe('snoozed/channel:sms')
    expect(countKey(view({ label: 'vip' }), ME)).toBe('open/label:vip')
    for (const uncounted of [
      { label: 'vip', channel: 'sms' },
      { unread: true as const },
      { priority: 'high' as const },
      { label: 'vip', status: 'resolved' as const },
      { label: 'vip', assignee: 'me' },
      { team: 'none' },
    ]) {
      expect(countKey(view(uncounted), ME)).toBeUndefined()
    }
  })
})
