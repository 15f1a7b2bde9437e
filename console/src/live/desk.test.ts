import { describe, expect, it } from 'vitest'
import { Failure } from '../api/client'
import type { Conversation, Message, ServerFrame } from '../api/types'
import { Desk } from './desk'
import type { HubPort } from './ports'
import type { Pending } from './state'
import { unread, type View, viewKey } from './view'
import { added, first, join, last, pageBefore, WINDOW } from './window'

const ME = 'me'
const ALL: View = { assignee: 'all', status: 'open' }

const conversation = (id: string, at: number, more: Partial<Conversation> = {}): Conversation => ({
  id,
  channel_id: 'channel',
  contact_id: `contact-${id}`,
  contact_name: id,
  contact_address: '+1',
  status: 'open',
  created_at: '2026-11-22T09:00:00.000000Z',
  opened_at: '2026-11-22T09:00:00.000000Z',
  last_activity_at: `2026-11-22T09:${String(at).padStart(2, '0')}:00.000000Z`,
  last_seq: at,
  ...more,
})

const message = (seq: number, more: Partial<Message> = {}): Message => ({
  id: `m${seq}`,
  conversation_id: 'c',
  seq,
  direction: 'inbound',
  author: { type: 'contact', contact_id: 'contact' },
  body: { text: String(seq) },
  created_at: '2026-11-22T09:00:00.000000Z',
  ...more,
})

const event = (of: Conversation, what: object): ServerFrame =>
  ({ op: 'ev', p: [0, 1], d: { conversation: of, event: what } }) as unknown as ServerFrame
const came = (seq: number, more: Partial<Message> = {}) =>
  event(conversation('c', seq), { type: 'message_added', message: message(seq, more) })

/** A hub that holds one thread of `end` messages; its sends are answered by `answer`. */
function hubOf(end: () => number, pages: Record<string, { items: Conversation[]; next?: string }> = {}) {
  const asked: string[] = []
  const sends: { key: string; text: string }[] = []
  let answer: (key: string, text: string) => Promise<Message> = async (key, text) =>
    message(end() + 1, { direction: 'outbound', client_key: key, body: { text }, status: 'queued' })
  const hub: HubPort = {
    list: async (_view, cursor) => pages[cursor ?? ''] ?? { items: [] },
    conversation: async (id) => conversation(id, end()),
    messages: async (_id, after, limit) => {
      asked.push(`${after}+${limit}`)
      const count = Math.max(0, Math.min(limit, end() - after))
      return Array.from({ length: count }, (_, index) => message(after + index + 1))
    },
    send: async (_id, key, text) => {
      sends.push({ key, text })
      return answer(key, text)
    },
    note: async (_id, key, text) => answer(key, text),
    retry: async (_id, seq) => message(seq, { status: 'queued' }),
    change: async (id, change) => conversation(id, end(), change as Partial<Conversation>),
    labels: async (id, change) => conversation(id, end(), { labels: change.add ?? [] }),
    bulk: async (ids) => ids.map((id) => ({ conversation_id: id, conversation: conversation(id, end()) })),
    counts: async () => Promise.reject(new Failure('unavailable', 'not now')),
    notices: async () => ({ items: [] }),
    noticesRead: async () => ({ unread: 0 }),
    read: async (id) => conversation(id, end()),
  }
  const reply = (how: typeof answer) => {
    answer = how
  }
  return { hub, asked, sends, reply }
}

function deskOf(hub: HubPort) {
  const waits: { ms: number; run: () => void }[] = []
  let kept: readonly Pending[] = []
  let keys = 0
  const desk = new Desk({
    hub,
    me: ME,
    now: () => 1000,
    after: (ms, run) => {
      waits.push({ ms, run })
      return () => undefined
    },
    key: () => {
      keys += 1
      return `key-${keys}`
    },
    keep: (pending) => {
      kept = pending
    },
  })
  return { desk, waits, kept: () => kept }
}

const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 0))
const seqs = (desk: Desk) => desk.state.threads.get('c')?.window.messages.map((one) => one.seq)

describe('a thread', () => {
  it('opens at its end and takes what comes, once', async () => {
    const { hub } = hubOf(() => 70)
    const { desk } = deskOf(hub)
    await desk.open('c')
    expect(seqs(desk)?.[0]).toBe(1)
    expect(seqs(desk)?.at(-1)).toBe(70)
    desk.deliver([came(71), came(71), came(72)])
    expect(seqs(desk)?.slice(-3)).toEqual([70, 71, 72])
  })

  it('fetches what is missing by number, and has no hole afterwards', async () => {
    let end = 150
    const { hub, asked } = hubOf(() => end)
    const { desk } = deskOf(hub)
    await desk.open('c')
    end = 270
    desk.deliver([came(270)])
    expect(seqs(desk)?.at(-1)).toBe(150)
    await settle()
    await settle()
    expect(asked.slice(-2)).toEqual(['150+100', '250+100'])
    const numbers = seqs(desk) ?? []
    expect(numbers.at(-1)).toBe(270)
    expect(numbers.every((seq, index) => index === 0 || seq === (numbers[index - 1] ?? 0) + 1)).toBe(true)
  })

  it('catches up after a reset', async () => {
    let end = 5
    const { hub } = hubOf(() => end)
    const { desk } = deskOf(hub)
    await desk.open('c')
    end = 9
    desk.reset()
    await settle()
    await settle()
    expect(seqs(desk)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('that somebody else took says so to whoever has it open', async () => {
    const { hub } = hubOf(() => 3)
    const { desk } = deskOf(hub)
    await desk.open('c')
    desk.deliver([{ op: 'gone', p: [0, 9], conversation_id: 'c' } as unknown as ServerFrame])
    expect(desk.state.threads.get('c')).toMatchObject({ state: 'failed', error: { code: 'not_found' } })
    expect(desk.state.conversations.has('c')).toBe(false)
    await desk.open('c')
    expect(seqs(desk)).toEqual([1, 2, 3])
  })

  it('takes what events say while its messages are on their way', async () => {
    const { hub } = hubOf(() => 1)
    const sent = message(2, { direction: 'outbound', status: 'queued' })
    let answer: (page: Message[]) => void = () => undefined
    let asked: () => void = () => undefined
    const asking = new Promise<void>((resolve) => (asked = resolve))
    hub.conversation = async (id) => conversation(id, 2)
    hub.messages = () => {
      asked()
      return new Promise((resolve) => (answer = resolve))
    }
    const { desk } = deskOf(hub)
    const opening = desk.open('c')
    await asking
    const delivered = { type: 'message_status_changed', message_id: 'm2', seq: 2, from: 'sent', to: 'delivered' }
    desk.deliver([event(conversation('c', 2), delivered), came(3)])
    answer([message(1), sent])
    await opening
    expect(desk.state.threads.get('c')?.window.messages.map((one) => [one.seq, one.status])).toEqual([
      [1, undefined],
      [2, 'delivered'],
      [3, undefined],
    ])
  })

  it('keeps no more than its window, whichever way it is read', () => {
    const page = (from: number, count: number) => Array.from({ length: count }, (_, index) => message(from + index))
    let window = join({ messages: [], newest: 0 }, page(5000, 100), 'end')
    while (first(window) > 1000) {
      const want = pageBefore(window)
      if (!want) break
      window = join(window, page(want.after_seq + 1, want.limit), 'start')
    }
    expect(window.messages).toHaveLength(WINDOW)
    expect(last(window)).toBeLessThan(5099)
    expect(window.newest).toBe(5099)
    const applied = added(window, message(5100), false)
    expect(applied.gap).toBe(false)
    expect(applied.window.newest).toBe(5100)
    expect(pageBefore({ messages: page(1, 3), newest: 3 })).toBeUndefined()
  })

  it('shows how far a message has come, and never less', async () => {
    const { hub } = hubOf(() => 1)
    const { desk } = deskOf(hub)
    await desk.open('c')
    const status = () => desk.state.threads.get('c')?.window.messages[1]
    const change = (from: string, to: string, error?: object) =>
      event(conversation('c', 2), { type: 'message_status_changed', message_id: 'm2', seq: 2, from, to, error })
    desk.deliver([
      came(2, { direction: 'outbound', status: 'queued' }),
      change('queued', 'sent'),
      change('sent', 'delivered'),
    ])
    expect(status()?.status).toBe('delivered')
    desk.deliver([change('queued', 'sent')])
    expect(status()?.status).toBe('delivered')
    desk.deliver([change('delivered', 'failed', { code: '30007', reason: 'filtered' })])
    expect(status()).toMatchObject({ status: 'failed', error: { reason: 'filtered' } })
    desk.deliver([change('failed', 'queued')])
    expect(status()?.status).toBe('queued')
  })
})

describe('sending', () => {
  it('shows a message at once, and replaces it by the hub’s whether the event or the answer comes first', async () => {
    for (const eventFirst of [true, false]) {
      const { hub, reply } = hubOf(() => 1)
      const { desk } = deskOf(hub)
      await desk.open('c')
      let answered: (message: Message) => void = () => undefined
      reply(() => new Promise((resolve) => (answered = resolve)))
      desk.send('c', 'message', 'hello')
      expect(desk.state.pending).toMatchObject([{ text: 'hello', state: 'sending', key: 'key-1' }])
      const mine = message(2, { direction: 'outbound', client_key: 'key-1', status: 'queued' })
      const frame = event(conversation('c', 2), { type: 'message_added', message: mine })
      if (eventFirst) desk.deliver([frame])
      answered(mine)
      await settle()
      if (!eventFirst) desk.deliver([frame])
      expect(desk.state.pending).toEqual([])
      expect(seqs(desk)).toEqual([1, 2])
    }
  })

  it('repeats with the same key while the hub cannot be reached, in order', async () => {
    const { hub, reply, sends } = hubOf(() => 1)
    const { desk, waits, kept } = deskOf(hub)
    await desk.open('c')
    reply(() => Promise.reject(new Failure('unreachable', 'no network')))
    desk.send('c', 'message', 'one')
    desk.send('c', 'message', 'two')
    await settle()
    expect(desk.state.pending[0]?.state).toBe('waiting')
    expect(kept()).toHaveLength(2)
    let seq = 1
    reply(async (key, text) => {
      seq += 1
      return message(seq, { direction: 'outbound', client_key: key, body: { text } })
    })
    waits.at(-1)?.run()
    await settle()
    expect(sends.map((one) => `${one.key} ${one.text}`)).toEqual(['key-1 one', 'key-1 one', 'key-2 two'])
    expect(kept()).toEqual([])
    expect(seqs(desk)).toEqual([1, 2, 3])
  })

  it('is tried at once when the connection is back, and forgotten when its event comes first', async () => {
    const { hub, reply, sends } = hubOf(() => 1)
    const { desk, kept } = deskOf(hub)
    await desk.open('c')
    reply(() => Promise.reject(new Failure('unreachable', 'no network')))
    desk.send('c', 'message', 'one')
    await settle()
    expect(sends).toHaveLength(1)
    desk.setLink({ state: 'live' })
    await settle()
    expect(sends).toHaveLength(2)
    const mine = message(2, { direction: 'outbound', client_key: 'key-1', status: 'queued' })
    desk.deliver([event(conversation('c', 2), { type: 'message_added', message: mine })])
    expect(kept()).toEqual([])
  })

  it('says why the hub refused, goes on with the next, and sends again when asked', async () => {
    const { hub, reply } = hubOf(() => 1)
    const { desk } = deskOf(hub)
    await desk.open('c')
    reply(async (key, text) => {
      if (text === 'one') throw new Failure('reply_window_closed', 'closed')
      return message(2, { client_key: key })
    })
    desk.send('c', 'message', 'one')
    desk.send('c', 'message', 'two')
    await settle()
    expect(desk.state.pending).toMatchObject([{ text: 'one', state: 'failed', error: { code: 'reply_window_closed' } }])
    reply(async (key) => message(3, { client_key: key }))
    desk.retryPending('key-1')
    await settle()
    expect(desk.state.pending).toEqual([])
    expect(seqs(desk)).toEqual([1, 2, 3])
  })

  it('takes up what an earlier visit left, but not what the hub has forgotten the key of', async () => {
    const { hub, sends } = hubOf(() => 1)
    const { desk } = deskOf(hub)
    const left = { conversation_id: 'c', kind: 'message' as const, state: 'waiting' as const }
    desk.resumeSends([
      { ...left, key: 'old', text: 'old', at: 1000 - 24 * 3600_000 },
      { ...left, key: 'new', text: 'new', at: 900 },
    ])
    await settle()
    expect(sends.map((one) => one.key)).toEqual(['new'])
    expect(desk.state.pending).toMatchObject([{ key: 'old', state: 'failed', error: { code: 'too_old' } }])
  })
})

describe('lists', () => {
  const ids = (desk: Desk, view = ALL) => desk.state.lists[viewKey(view)]?.ids

  it('stay sorted as events come, and lose what leaves them', async () => {
    const { hub } = hubOf(() => 0, { '': { items: [conversation('b', 20), conversation('a', 10)] } })
    const { desk } = deskOf(hub)
    await desk.load(ALL)
    expect(ids(desk)).toEqual(['b', 'a'])
    desk.deliver([event(conversation('a', 30), { type: 'conversation_read' })])
    expect(ids(desk)).toEqual(['a', 'b'])
    desk.deliver([event(conversation('n', 40), { type: 'conversation_created' })])
    expect(ids(desk)).toEqual(['n', 'a', 'b'])
    desk.deliver([event(conversation('a', 30, { status: 'resolved' }), { type: 'conversation_status_changed' })])
    expect(ids(desk)).toEqual(['n', 'b'])
    desk.deliver([{ op: 'gone', p: [0, 2], conversation_id: 'b' } as unknown as ServerFrame])
    expect(ids(desk)).toEqual(['n'])
  })

  it('are paged by cursor, and take nothing from below the last page too early', async () => {
    const { hub } = hubOf(() => 0, {
      '': { items: [conversation('d', 40), conversation('c', 30)], next: 'more' },
      more: { items: [conversation('b', 20), conversation('a', 10)] },
    })
    const { desk } = deskOf(hub)
    await desk.load(ALL)
    desk.deliver([event(conversation('x', 15), { type: 'conversation_read' })])
    expect(ids(desk)).toEqual(['d', 'c'])
    await desk.more(ALL)
    expect(ids(desk)).toEqual(['d', 'c', 'b', 'a'])
    expect(desk.state.lists[viewKey(ALL)]?.next).toBeUndefined()
  })

  it('do not let an answer undo an event that came after the question', async () => {
    const { hub } = hubOf(() => 0)
    let answer: (page: { items: Conversation[] }) => void = () => undefined
    hub.list = () => new Promise((resolve) => (answer = resolve))
    const { desk } = deskOf(hub)
    const loading = desk.load(ALL)
    desk.deliver([event(conversation('a', 50, { status: 'resolved' }), { type: 'conversation_status_changed' })])
    desk.deliver([event(conversation('n', 55), { type: 'conversation_created' })])
    answer({ items: [conversation('b', 20), conversation('a', 10)] })
    await loading
    expect(ids(desk)).toEqual(['n', 'b'])
  })

  it('count what one person has not seen', () => {
    expect(unread(conversation('a', 1, { inbound_count: 5, reads: { me: 3 } }), ME)).toBe(2)
    expect(unread(conversation('a', 1, { inbound_count: 5 }), ME)).toBe(5)
    expect(unread(conversation('a', 1, { inbound_count: 1, reads: { me: 3 } }), ME)).toBe(0)
  })
})

describe('changes', () => {
  it('are shown at once, and taken back if the hub refuses', async () => {
    const { hub } = hubOf(() => 1, { '': { items: [conversation('a', 10), conversation('b', 5)] } })
    const { desk } = deskOf(hub)
    await desk.load(ALL)
    let refuse: (why: Failure) => void = () => undefined
    hub.change = () => new Promise((_resolve, reject) => (refuse = reject))
    const changing = desk.change('a', { status: 'resolved' })
    expect(desk.state.lists[viewKey(ALL)]?.ids).toEqual(['b'])
    refuse(new Failure('invalid_transition', 'no'))
    await expect(changing).rejects.toThrow('no')
    expect(desk.state.lists[viewKey(ALL)]?.ids).toEqual(['a', 'b'])
  })

  it('are not taken back over an event that came meanwhile', async () => {
    const { hub } = hubOf(() => 1, { '': { items: [conversation('a', 10)] } })
    const { desk } = deskOf(hub)
    await desk.load(ALL)
    let refuse: (why: Failure) => void = () => undefined
    hub.change = () => new Promise((_resolve, reject) => (refuse = reject))
    const changing = desk.change('a', { assignee: ME })
    desk.deliver([event(conversation('a', 10, { assignee: 'other' }), { type: 'conversation_assigned' })])
    refuse(new Failure('invalid_transition', 'no'))
    await expect(changing).rejects.toThrow('no')
    expect(desk.state.conversations.get('a')?.assignee).toBe('other')
  })

  it('of many come in requests that the hub takes, and tell what was refused', async () => {
    const { hub } = hubOf(() => 1)
    const sizes: number[] = []
    hub.bulk = async (ids) => {
      sizes.push(ids.length)
      return ids.map((id) =>
        id === 'c7'
          ? { conversation_id: id, error: { code: 'not_found', detail: '' } }
          : { conversation_id: id, conversation: conversation(id, 1) },
      )
    }
    const { desk } = deskOf(hub)
    const all = Array.from({ length: 250 }, (_, index) => `c${index}`)
    const refused = await desk.bulk(all, { status: 'resolved' })
    expect(sizes).toEqual([100, 100, 50])
    expect(refused.map((one) => one.conversation_id)).toEqual(['c7'])
  })
})

describe('a list of unread conversations', () => {
  it('keeps the open one while it is read', async () => {
    const view: View = { assignee: 'all', status: 'open', unread: true }
    const one = conversation('c', 10, { inbound_count: 1 })
    const other = conversation('d', 5, { inbound_count: 1 })
    const { hub } = hubOf(() => 1, { '': { items: [one, other] } })
    const { desk } = deskOf(hub)
    await desk.load(view)
    await desk.open('c')
    const read = { reads: { [ME]: 1 } }
    desk.deliver([
      event({ ...one, ...read }, { type: 'conversation_read' }),
      event({ ...other, ...read }, { type: 'conversation_read' }),
    ])
    expect(desk.state.lists[viewKey(view)]?.ids).toEqual(['c'])
  })
})

describe('counts and notices', () => {
  const notice = (number: number, read = false) => ({
    number,
    kind: 'assigned' as const,
    conversation_id: 'c',
    contact_name: 'Sara',
    preview: '',
    at: '',
    read,
  })
  const desk_event = (what: object): ServerFrame =>
    ({ op: 'ev', p: [0, 1], d: { event: what } }) as unknown as ServerFrame

  it('take what events say after the question over the answer', async () => {
    const { hub } = hubOf(() => 1)
    let answer: (counts: { notifications: number; views: Record<string, number> }) => void = () => undefined
    hub.counts = () => new Promise((resolve) => (answer = resolve))
    const { desk } = deskOf(hub)
    const loading = desk.loadDesk()
    desk.deliver([desk_event({ type: 'counts_changed', views: { 'open/all': 8 } })])
    answer({ notifications: 2, views: { 'open/all': 7, 'open/none': 3 } })
    await loading
    expect(desk.state.counts).toEqual({ 'open/all': 8, 'open/none': 3 })
    expect(desk.state.notices).toMatchObject({ unread: 2, state: 'ready' })
  })

  it('are new once, and read one by one or up to a number', async () => {
    const { hub } = hubOf(() => 1)
    hub.notices = async () => ({ items: [notice(2), notice(1, true)] })
    const { desk } = deskOf(hub)
    await desk.loadDesk()
    const added = desk_event({ type: 'notification_added', notification: notice(3), unread: 2 })
    desk.deliver([added, added])
    expect(desk.state.notices.items.map((one) => one.number)).toEqual([3, 2, 1])
    expect(desk.state.notices.unread).toBe(2)
    desk.deliver([desk_event({ type: 'notifications_read', user_id: ME, read_up_to: 0, read: [3], unread: 1 })])
    expect(desk.state.notices.items.map((one) => one.read)).toEqual([true, false, true])
    await desk.readNotices({ up_to: 3 })
    expect(desk.state.notices.items.every((one) => one.read)).toBe(true)
    expect(desk.state.notices.unread).toBe(0)
  })
})
