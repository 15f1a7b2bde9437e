import { describe, expect, it } from 'vitest'
import type { ServerFrame } from '../api/types'
import { backoff, type Link, LiveSocket, type SocketLike } from './socket'

class FakeSocket implements SocketLike {
  onopen = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  sent: Record<string, unknown>[] = []
  closed = false
  send(text: string) {
    this.sent.push(JSON.parse(text))
  }
  close() {
    this.closed = true
  }
  say(...frames: unknown[]) {
    this.onmessage?.({ data: frames.map((frame) => JSON.stringify(frame)).join('\n') })
  }
  last(op: string) {
    return this.sent.filter((frame) => frame.op === op).at(-1)
  }
}

/** A socket in a world where time passes only when it is told to. */
function world(token: (fresh: boolean) => Promise<string | undefined> = async () => 'token') {
  const sockets: FakeSocket[] = []
  const links: Link[] = []
  const batches: ServerFrame[][] = []
  const frames: (() => void)[] = []
  const timers: { at: number; run: () => void }[] = []
  const seen = { resets: 0, signedOut: 0, fresh: [] as boolean[] }
  let now = 1000
  const socket = new LiveSocket({
    open: () => {
      const one = new FakeSocket()
      sockets.push(one)
      return one
    },
    token: (fresh) => {
      seen.fresh.push(fresh)
      return token(fresh)
    },
    device: 'tab-1',
    topics: ['inbox'],
    deliver: (batch) => batches.push(batch),
    reset: () => {
      seen.resets += 1
    },
    link: (link) => links.push(link),
    signedOut: () => {
      seen.signedOut += 1
    },
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
    frame: (run) => {
      frames.push(run)
      return () => {
        const index = frames.indexOf(run)
        if (index >= 0) frames.splice(index, 1)
      }
    },
    hidden: () => false,
  })
  const pass = (ms: number) => {
    const end = now + ms
    for (;;) {
      const next = timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      now = next.at
      timers.splice(timers.indexOf(next), 1)
      next.run()
    }
    now = end
  }
  const current = () => sockets.at(-1) as FakeSocket
  const settle = async () => {
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve()
  }
  const paint = () => {
    for (const run of frames.splice(0)) run()
  }
  return { socket, sockets, links, batches, seen, pass, current, settle, paint }
}

const HELLO = { op: 'hello', v: 1, conn: 'c1', hb: 25_000, max_in: 65_536, auth_in: 5000 }
const ready = (more: object = {}) => ({
  op: 'ready',
  id: 1,
  user_id: 'u',
  cur: 'CUR0',
  resumed: false,
  replay: 0,
  expires_at: '',
  ...more,
})
const event = (offset: number) => ({ op: 'ev', p: [3, offset], d: { event: { type: 'conversation_read' } } })

async function liveWorld(token?: (fresh: boolean) => Promise<string | undefined>) {
  const one = world(token)
  one.socket.start()
  one.current().say(HELLO)
  await one.settle()
  one.current().say(ready())
  return one
}

describe('the socket', () => {
  it('signs in, is live, and asks for the state to be loaded', async () => {
    const { current, links, seen } = await liveWorld()
    expect(current().last('auth')).toMatchObject({
      token: 'token',
      device: 'tab-1',
      subs: ['inbox'],
      caps: ['batch', 'ack'],
    })
    expect(current().last('auth')).not.toHaveProperty('resume')
    expect(links.map((link) => link.state)).toEqual(['connecting', 'live'])
    expect(seen.resets).toBe(1)
  })

  it('resumes from the newest cursor and the last event, and is live only after the replay', async () => {
    const { current, links, seen, pass, settle, batches } = await liveWorld()
    current().say({ op: 'hb', n: 0, cur: 'CUR1' })
    expect(current().last('hb')).toEqual({ op: 'hb', n: 0 })
    current().say(event(7), event(9))
    current().onclose?.({ code: 1006 })
    expect(links.at(-1)).toEqual({ state: 'offline', retryAt: 1250 })
    pass(250)
    current().say(HELLO)
    await settle()
    expect(current().last('auth')).toMatchObject({ resume: { cur: 'CUR1', p: [3, 9] } })
    expect(links.at(-1)?.state).toBe('catching_up')
    current().say(ready({ resumed: true, replay: 1 }), event(11), { op: 'resumed', n: 1, cur: 'CUR2' })
    expect(links.at(-1)?.state).toBe('live')
    expect(seen.resets).toBe(1)
    await settle()
    expect(batches.flat().map((frame) => (frame as unknown as { p: number[] }).p[1])).toEqual([7, 9, 11])
  })

  it('loads the state anew when the hub cannot resume, and when it announces a gap', async () => {
    const { current, seen, pass, settle } = await liveWorld()
    current().onclose?.({ code: 1006 })
    pass(500)
    current().say(HELLO)
    await settle()
    current().say(ready({ gap: 'too_far' }))
    expect(seen.resets).toBe(2)
    current().say({ op: 'gap', why: 'retention' })
    expect(seen.resets).toBe(3)
  })

  it('drops an event that comes a second time', async () => {
    const { current, settle, batches } = await liveWorld()
    current().say(event(7), event(7), event(8))
    await settle()
    expect(batches.flat()).toHaveLength(2)
  })

  it('reconnects when a frame was lost on the way', async () => {
    const { current, sockets, pass } = await liveWorld()
    current().say(event(7), { op: 'hb', n: 2 })
    pass(1000)
    expect(sockets).toHaveLength(2)
    expect(sockets[0]?.closed).toBe(true)
  })

  it('delivers at once after a pause, then with the frames of the screen', async () => {
    const { current, settle, batches, paint, pass } = await liveWorld()
    pass(100)
    current().say(event(1), event(2))
    await settle()
    expect(batches.map((batch) => batch.length)).toEqual([2])
    current().say(event(3))
    current().say(event(4))
    await settle()
    expect(batches).toHaveLength(1)
    paint()
    expect(batches.map((batch) => batch.length)).toEqual([2, 2])
  })

  it('acknowledges within half a second, and at least every 32 frames', async () => {
    const { current, pass } = await liveWorld()
    for (let offset = 1; offset <= 40; offset += 1) current().say(event(offset))
    expect(current().sent.filter((frame) => frame.op === 'ack')).toEqual([{ op: 'ack', n: 32 }])
    pass(500)
    expect(current().last('ack')).toEqual({ op: 'ack', n: 40 })
  })

  it('backs off from half a second to twenty, with full jitter', () => {
    expect([0, 1, 2, 6, 50].map((attempt) => backoff(attempt, 1))).toEqual([500, 1000, 2000, 20_000, 20_000])
    expect(backoff(3, 0)).toBe(0)
    expect(backoff(3, 0.25)).toBe(1000)
  })

  it('gives up a connection that says nothing for one and a half heartbeats', async () => {
    const { sockets, pass } = await liveWorld()
    pass(37_400)
    expect(sockets).toHaveLength(1)
    pass(1000)
    expect(sockets).toHaveLength(2)
  })

  it('waits as long as a draining hub says', async () => {
    const { current, links } = await liveWorld()
    current().say({ op: 'drain', after: 3120 })
    current().onclose?.({ code: 1012 })
    expect(links.at(-1)).toEqual({ state: 'offline', retryAt: 4120 })
  })

  it('renews the token on the same connection, and asks for a fresh one after 4401', async () => {
    const { current, seen, settle, pass } = await liveWorld()
    current().say({ op: 'expiring', in_ms: 60_000 })
    await settle()
    expect(current().last('auth')).toEqual({ op: 'auth', id: 2, token: 'token' })
    current().onclose?.({ code: 4401 })
    pass(500)
    current().say(HELLO)
    await settle()
    expect(seen.fresh).toEqual([false, true, true])
  })

  it('ends where coming back is no use', async () => {
    for (const [code, state] of [
      [4009, 'replaced'],
      [4403, 'refused'],
      [4400, 'refused'],
    ] as const) {
      const { current, links, sockets, pass } = await liveWorld()
      current().onclose?.({ code })
      pass(60_000)
      expect(links.at(-1)?.state).toBe(state)
      expect(sockets).toHaveLength(1)
    }
    const { seen, sockets } = await liveWorld(async () => undefined)
    expect(seen.signedOut).toBe(1)
    expect(sockets).toHaveLength(1)
  })

  it('forgets the cursor for the codes that say so', async () => {
    const { current, pass, settle } = await liveWorld()
    current().onclose?.({ code: 4100 })
    pass(500)
    current().say(HELLO)
    await settle()
    expect(current().last('auth')).not.toHaveProperty('resume')
  })
})
