import { describe, expect, it } from 'vitest'
import type { SocketLike } from '../../src/live/socket'
import type { VisitorMessage } from '../shared/between'
import { Chat } from './chat'
import { Memory } from './kept'

class FakeSocket implements SocketLike {
  onopen = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  sent: Record<string, unknown>[] = []
  send(text: string) {
    this.sent.push(JSON.parse(text))
  }
  close() {}
  say(...frames: unknown[]) {
    this.onmessage?.({ data: frames.map((frame) => JSON.stringify(frame)).join('\n') })
  }
  of(op: string) {
    return this.sent.filter((frame) => frame.op === op)
  }
}

const HELLO = { op: 'hello', v: 1, conn: 'v1', hb: 25_000, max_in: 65_536, auth_in: 5_000 }
const message = (seq: number, from: 'agent' | 'visitor' = 'agent', key?: string): VisitorMessage => ({
  id: `m${seq}`,
  conversation_id: 'talk',
  seq,
  from,
  body: { text: `text ${seq}` },
  at: `2026-11-22T09:00:${String(seq).padStart(2, '0')}.000000Z`,
  ...(key ? { key } : {}),
})

/** A chat in a world where time passes only when it is told to. */
function world(options: { storage?: Storage; identity?: () => Promise<string>; asks?: boolean; person?: string } = {}) {
  const storage = options.storage ?? new MapStorage()
  const sockets: FakeSocket[] = []
  const uploads: string[] = []
  const timers: { at: number; run: () => void }[] = []
  let now = Date.parse('2026-11-22T09:00:00Z')
  let keys = 0
  const begin = () =>
    new Chat({
      open: () => {
        const one = new FakeSocket()
        sockets.push(one)
        return one
      },
      ...(options.identity ? { identity: options.identity } : {}),
      asks: options.asks ?? false,
      memory: new Memory(storage, 'c1', options.person),
      now: () => now,
      random: () => 0.5,
      after: (ms, run) => {
        const timer = { at: now + ms, run }
        timers.push(timer)
        return () => {
          const index = timers.indexOf(timer)
          if (index >= 0) timers.splice(index, 1)
        }
      },
      key: () => {
        keys += 1
        return `k${keys}`
      },
      upload: async (url, file) => {
        uploads.push(`${url} ${file.name}`)
        return file.name === 'bad'
          ? undefined
          : { url: `kept:${file.name}`, content_type: 'image/png', name: file.name }
      },
      changed: () => undefined,
    })
  const pass = async (ms: number) => {
    const end = now + ms
    for (;;) {
      const next = timers.filter((timer) => timer.at <= end).sort((one, other) => one.at - other.at)[0]
      if (!next) break
      now = next.at
      timers.splice(timers.indexOf(next), 1)
      next.run()
      await settle()
    }
    now = end
  }
  const socket = () => {
    const last = sockets.at(-1)
    if (!last) throw new Error('no socket was opened')
    return last
  }
  const welcome = async (history: VisitorMessage[] = [], token = 'token') => {
    await settle()
    socket().say(HELLO, {
      op: 'ready',
      id: 1,
      token,
      history,
      ...(history[0] ? { conversation_id: history[0].conversation_id } : {}),
    })
  }
  return { chat: begin(), again: begin, sockets, socket, pass, welcome, storage, uploads }
}

/** What `localStorage` is, in a map. */
class MapStorage implements Storage {
  private readonly map = new Map<string, string>()
  get length() {
    return this.map.size
  }
  key = (at: number) => [...this.map.keys()][at] ?? null
  getItem = (name: string) => this.map.get(name) ?? null
  setItem = (name: string, text: string) => void this.map.set(name, text)
  removeItem = (name: string) => void this.map.delete(name)
  clear = () => this.map.clear()
}

const settle = () => new Promise<void>((done) => setTimeout(done))

describe('a visitor who was never here', () => {
  it('is left alone until the chat is opened, and keeps the token', async () => {
    const { chat, sockets, socket, welcome, storage } = world()
    await settle()
    expect(sockets).toEqual([])
    chat.attend(true)
    await welcome()
    expect(socket().of('auth')).toEqual([{ op: 'auth', id: 1, new: true }])
    expect(storage.getItem('saler.chat.c1.token')).toBe('token')
    expect(chat.talk).toMatchObject({ link: 'live', asks: false, messages: [] })
  })

  it('is asked first where the channel says so, and tells it with the sign-in', async () => {
    const { chat, sockets, socket, welcome } = world({ asks: true })
    chat.attend(true)
    await settle()
    expect(chat.talk.asks).toBe(true)
    expect(sockets).toEqual([])
    chat.begin({ name: 'Amal', email: 'a@b.test' })
    await welcome()
    expect(socket().of('auth')).toEqual([{ op: 'auth', id: 1, new: true, name: 'Amal', email: 'a@b.test' }])
    expect(chat.talk.asks).toBe(false)
  })
})

describe('what is written', () => {
  it('is sent one after the other, keeps its place when it comes back, and is then forgotten', async () => {
    const { chat, socket, welcome, storage } = world()
    chat.send('one')
    chat.send('two')
    await welcome()
    expect(socket().of('send')).toEqual([{ op: 'send', id: 2, key: 'k1', text: 'one' }])
    socket().say({ op: 'ok', id: 2 })
    expect(chat.talk.messages.map((one) => one.state)).toEqual(['sent', 'waiting'])
    socket().say({ op: 'msg', ...message(1, 'visitor', 'k1') })
    expect(chat.talk.messages.map((one) => one.id)).toEqual(['key:k1', 'key:k2'])
    expect(socket().of('send')).toHaveLength(2)
    socket().say({ op: 'msg', ...message(2, 'visitor', 'k2') })
    expect(chat.talk.messages.map((one) => one.state)).toEqual(['sent', 'sent'])
    expect(storage.length).toBe(2)
  })

  it('outlives the page and a lost connection with the same key', async () => {
    const { chat, again, socket, sockets, welcome, pass } = world()
    chat.send('kept')
    await welcome()
    socket().onclose?.({ code: 1006 })
    expect(chat.talk.link).toBe('offline')
    await pass(1000)
    await welcome()
    expect(socket().of('send')).toEqual([{ op: 'send', id: 3, key: 'k1', text: 'kept' }])
    chat.stop()
    again()
    await welcome()
    expect(socket().of('send')).toEqual([{ op: 'send', id: 2, key: 'k1', text: 'kept' }])
    expect(sockets).toHaveLength(3)
  })

  it('waits when it comes too fast, and stays for the visitor to decide when it is refused', async () => {
    const { chat, socket, welcome, pass } = world()
    chat.send('one')
    await welcome()
    socket().say({ op: 'err', id: 2, code: 'rate_limited', reason: '', temp: true, after_ms: 500 })
    expect(chat.talk.messages[0]?.state).toBe('waiting')
    await pass(500)
    socket().say({ op: 'err', id: 3, code: 'channel_inactive', reason: '', temp: false })
    expect(chat.talk.messages[0]?.state).toBe('failed')
    chat.again('key:k1')
    expect(socket().of('send')).toHaveLength(3)
  })

  it('of long ago is not sent by itself', async () => {
    const { chat, again, socket, welcome, pass } = world()
    chat.send('yesterday’s question')
    chat.stop()
    await pass(25 * 3_600_000)
    const later = again()
    await welcome()
    expect(socket().of('send')).toEqual([])
    expect(later.talk.messages[0]?.state).toBe('failed')
  })

  it('is bounded', () => {
    const { chat } = world()
    for (let count = 0; count < 50; count += 1) expect(chat.send('x')).toBe(true)
    expect(chat.send('x')).toBe(false)
  })
})

describe('a file', () => {
  it('is uploaded when its turn comes, and sent by the address that the hub gave it', async () => {
    const { chat, socket, welcome, uploads } = world()
    chat.send('look')
    chat.attach(new File(['x'], 'a.png'))
    await welcome()
    socket().say({ op: 'ok', id: 2 })
    expect(socket().of('upload')).toEqual([{ op: 'upload', id: 3 }])
    socket().say({ op: 'upload', id: 3, url: 'https://hub/u', max_bytes: 10 })
    await settle()
    expect(uploads).toEqual(['https://hub/u a.png'])
    expect(socket().of('send').at(-1)).toEqual({ op: 'send', id: 4, key: 'k2', text: '', files: ['kept:a.png'] })
    expect(chat.talk.messages.at(-1)?.attachments[0]?.name).toBe('a.png')
  })

  it('that is too large or refused is said to be, and holds up nothing', async () => {
    const { chat, socket, welcome, uploads } = world()
    chat.attach(new File(['too much'], 'large'))
    chat.attach(new File(['x'], 'bad'))
    chat.send('text')
    await welcome()
    socket().say({ op: 'upload', id: 2, url: 'u', max_bytes: 3 })
    expect(uploads).toEqual([])
    socket().say({ op: 'upload', id: 3, url: 'u', max_bytes: 3 })
    await settle()
    expect(chat.talk.messages.map((one) => one.state)).toEqual(['failed', 'failed', 'waiting'])
    expect(socket().of('send')).toEqual([{ op: 'send', id: 4, key: 'k3', text: 'text' }])
  })
})

describe('what agents write', () => {
  it('is counted until the visitor has it before them, and confirmed', async () => {
    const { chat, socket, welcome, again } = world()
    chat.attend(true)
    await welcome([message(1, 'visitor')])
    chat.attend(false)
    socket().say({ op: 'msg', ...message(2) }, { op: 'msg', ...message(4) })
    expect(chat.unread).toBe(2)
    expect(socket().of('ack').at(-1)).toEqual({ op: 'ack', seq: 4 })
    chat.attend(true)
    expect(chat.unread).toBe(0)
    expect(socket().of('ack').at(-1)).toEqual({ op: 'ack', seq: 4, read: true })
    // On the next page, nothing of it is new.
    chat.stop()
    const next = again()
    await welcome([message(1, 'visitor'), message(2), message(4)])
    expect(next.unread).toBe(0)
    expect(next.talk.messages).toHaveLength(3)
  })

  it('ends the sign of their typing, which ends by itself as well', async () => {
    const { chat, socket, welcome, pass } = world()
    chat.attend(true)
    await welcome([message(1)])
    socket().say({ op: 'typing', ttl: 5000 })
    expect(chat.talk.typing).toBe(true)
    await pass(5000)
    expect(chat.talk.typing).toBe(false)
    socket().say({ op: 'typing', ttl: 5000 }, { op: 'msg', ...message(2) })
    expect(chat.talk.typing).toBe(false)
  })
})

describe('a connection that comes back', () => {
  it('asks for what it missed and shows it once', async () => {
    const { chat, socket, welcome, pass } = world()
    chat.attend(true)
    await welcome([message(1), message(2)])
    socket().say({ op: 'drain', after: 3000 })
    socket().onclose?.({ code: 1012 })
    await pass(2999)
    expect(chat.talk.link).toBe('offline')
    await pass(1)
    await settle()
    socket().say(HELLO)
    expect(socket().of('auth')).toEqual([
      { op: 'auth', id: 1, token: 'token', after: { conversation_id: 'talk', seq: 2 } },
    ])
    await welcome([message(3)])
    expect(chat.talk.messages.map((one) => one.text)).toEqual(['text 1', 'text 2', 'text 3'])
  })

  it('is somebody new when the token has ended, and what waited is sent by them', async () => {
    const { chat, socket, welcome } = world()
    chat.attend(true)
    await welcome([message(1)])
    socket().onclose?.({ code: 1006 })
    chat.send('still here')
    chat.nudge()
    await settle()
    socket().say(HELLO)
    socket().onclose?.({ code: 4401 })
    expect(chat.talk.messages).toHaveLength(1)
    chat.nudge()
    await welcome()
    expect(socket().of('auth')[0]).toMatchObject({ new: true })
    expect(socket().of('send')[0]).toMatchObject({ text: 'still here' })
  })

  it('is noticed by its silence', async () => {
    const { chat, welcome, pass, sockets } = world()
    chat.attend(true)
    await welcome()
    await pass(37_500)
    expect(chat.talk.link).toBe('offline')
    await pass(1000)
    expect(sockets).toHaveLength(2)
  })

  it('rests where the hub refuses the widget, and while the page is put away', async () => {
    const { chat, socket, welcome, pass, sockets } = world()
    chat.attend(true)
    await welcome()
    chat.pause()
    await pass(60_000)
    expect(sockets).toHaveLength(1)
    chat.resume()
    await welcome()
    socket().onclose?.({ code: 4400 })
    await pass(60_000)
    expect(chat.talk.link).toBe('refused')
    expect(sockets).toHaveLength(2)
  })
})

describe('history', () => {
  it('is asked for page by page until there is nothing before', async () => {
    const { chat, socket, welcome } = world()
    chat.attend(true)
    await welcome(Array.from({ length: 50 }, (_, at) => message(at + 5)))
    expect(chat.talk.earlier).toBe('some')
    chat.lookBack()
    chat.lookBack()
    expect(socket().of('history')).toEqual([{ op: 'history', id: 2, before: 5 }])
    socket().say({ op: 'history', id: 2, messages: [message(3), message(4)] })
    expect(chat.talk.messages[0]?.text).toBe('text 3')
    chat.lookBack()
    socket().say({ op: 'history', id: 3, messages: [] })
    expect(chat.talk.earlier).toBe('none')
  })
})

describe('a visitor whom the site knows', () => {
  it('is introduced by the site, and their token is kept nowhere', async () => {
    let fetched = 0
    const identity = async () => {
      fetched += 1
      return `statement ${fetched}`
    }
    const { chat, socket, welcome, storage, pass } = world({ identity, person: '42', asks: true })
    chat.attend(true)
    await welcome([message(1)], 'secret token')
    expect(socket().of('auth')[0]).toMatchObject({ identity: 'statement 1' })
    for (let at = 0; at < storage.length; at += 1) {
      expect(storage.key(at)).toMatch(/^saler\.chat\.c1\.of\.42\./)
      expect(storage.getItem(storage.key(at) ?? '')).not.toContain('secret token')
    }
    socket().onclose?.({ code: 1006 })
    await pass(1000)
    socket().say(HELLO)
    expect(socket().of('auth')[0]).toMatchObject({ token: 'secret token' })
    expect(fetched).toBe(1)
  })

  it('is told so when the site’s word is refused twice', async () => {
    const { chat, socket, pass } = world({ identity: async () => 'forged', person: '42' })
    chat.attend(true)
    for (let time = 0; time < 2; time += 1) {
      await settle()
      socket().say(HELLO)
      socket().onclose?.({ code: 4401 })
      await pass(1000)
    }
    expect(chat.talk.link).toBe('unknown_visitor')
  })
})

describe('without storage', () => {
  it('everything is kept until the page is left', () => {
    const memory = new Memory(undefined, 'c1', undefined)
    memory.token = 'a'
    memory.keep({ key: 'k', text: 'x', at: 1 })
    expect([memory.token, memory.waiting()]).toEqual(['a', [{ key: 'k', text: 'x', at: 1 }]])
    memory.drop('k')
    memory.clear()
    expect([memory.token, memory.waiting()]).toEqual([undefined, []])
  })
})
