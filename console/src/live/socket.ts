/**
 * The agents' socket, protocol `saler.v1` (docs/socket.md): signs in, counts, acknowledges, resumes, and comes back after
 * every end that can be come back from. It knows nothing of what the frames say; those go to `deliver` in order, in batches:
 * at once if nothing was delivered for a while, else with the next frame of the screen.
 */
import type { ClientFrame, ServerFrame } from '../api/types'

export const PROTOCOL = 'saler.v1'
const BACKOFF_FIRST_MS = 500
const BACKOFF_MOST_MS = 20_000
/** The hub wants an acknowledgement at least every 64 counted frames, and within a second. */
const ACKNOWLEDGE_EVERY = 32
const ACKNOWLEDGE_WITHIN_MS = 500
/** A batch is delivered at once if the last one is longer ago than this. */
const LEADING_EDGE_MS = 32
/** How long frames wait in a tab that is not seen: it gets no animation frames. */
const HIDDEN_FLUSH_MS = 50
/** Wishes with these numbers subscribe; those that set the presence count upwards from 10. */
const JOIN_ID = 3
/** How long the upgrade, or an answer to `auth`, may take. */
const OPENING_MS = 10_000

export type Link =
  /** Nobody is signed in. */
  | { state: 'idle' }
  /** A connection is being made, for the first time. */
  | { state: 'connecting' }
  /** Connected; what was missed is coming. */
  | { state: 'catching_up' }
  | { state: 'live' }
  /** No connection; the next attempt is at `retryAt` (milliseconds of the clock). */
  | { state: 'offline'; retryAt: number }
  /** A newer connection of this device took over. */
  | { state: 'replaced' }
  /** The hub refuses this client: `code` is the socket's. */
  | { state: 'refused'; code: number }

export interface SocketLike {
  send(text: string): void
  close(code?: number): void
  onopen: (() => void) | null
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: { code: number }) => void) | null
}

export interface Ports {
  open(): SocketLike
  /** An access token; `undefined` when the sign-in has ended. Rejects when the hub cannot be reached. */
  token(fresh: boolean): Promise<string | undefined>
  device: string
  topics: string[]
  /** Topics of newer hubs, subscribed to after the sign-in; `joined` says each time that their events come from here on. */
  later?: string[]
  joined?(topic: string): void
  deliver(frames: ServerFrame[]): void
  /** Events may be missing: load the state over REST. */
  reset(): void
  link(link: Link): void
  signedOut(): void
  now(): number
  random(): number
  after(ms: number, run: () => void): () => void
  frame(run: () => void): () => void
  hidden(): boolean
}

type Place = [number, number]
type Cancel = () => void

/** Full jitter: anything between nothing and the bound, which doubles from 0.5 to 20 seconds. */
export function backoff(attempt: number, random: number): number {
  return random * Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 10))
}

export class LiveSocket {
  private socket: SocketLike | undefined
  private running = false
  private attempt = 0
  private counted = 0
  private acknowledged = 0
  private cursor: string | undefined
  private place: Place | undefined
  private heartbeatMs = 25_000
  private drainMs: number | undefined
  private everLive = false
  private freshToken = false
  private commands = 10
  private queue: ServerFrame[] = []
  private flushed = Number.NEGATIVE_INFINITY
  private cancelFlush: Cancel | undefined
  private cancelRetry: Cancel | undefined
  private cancelWatch: Cancel | undefined
  private cancelAcknowledge: Cancel | undefined

  constructor(private readonly ports: Ports) {}

  start(): void {
    if (this.running) return
    this.running = true
    this.ports.link({ state: 'connecting' })
    this.connect()
  }

  stop(): void {
    this.running = false
    this.cancelRetry?.()
    this.drop(1000)
    this.flush()
    this.cursor = undefined
    this.place = undefined
    this.everLive = false
    this.attempt = 0
    this.ports.link({ state: 'idle' })
  }

  /** Tries at once, if there is no connection: the network is back, or somebody asks for it. */
  nudge(): void {
    if (!this.running || this.socket) return
    this.cancelRetry?.()
    this.attempt = 0
    this.connect()
  }

  /** Tells colleagues what this person does; lost if there is no connection. */
  hint(kind: 'typing' | 'viewing', conversationId: string): void {
    this.commands += 1
    this.send({ op: 'cmd', id: 0, k: kind, d: { conversation_id: conversationId } } as ClientFrame)
  }

  presence(availability: 'online' | 'busy' | 'away'): void {
    this.commands += 1
    this.send({ op: 'cmd', id: this.commands, k: 'presence.set', d: { availability } } as ClientFrame)
  }

  private connect(): void {
    const socket = this.ports.open()
    this.socket = socket
    this.counted = 0
    this.acknowledged = 0
    this.drainMs = undefined
    this.watch(OPENING_MS)
    socket.onmessage = (event) => {
      if (this.socket !== socket || typeof event.data !== 'string') return
      this.watch(this.heartbeatMs * 1.5)
      for (const line of event.data.split('\n')) if (line) this.take(JSON.parse(line) as ServerFrame, socket)
    }
    socket.onclose = (event) => {
      if (this.socket === socket) this.ended(event.code)
    }
  }

  private send(frame: ClientFrame): void {
    this.socket?.send(JSON.stringify(frame))
  }

  /** Closes a connection that has said nothing for so long, or never opened. */
  private watch(ms: number): void {
    this.cancelWatch?.()
    this.cancelWatch = this.ports.after(ms, () => this.ended(4002))
  }

  private drop(code: number): void {
    const socket = this.socket
    this.socket = undefined
    this.cancelWatch?.()
    this.cancelAcknowledge?.()
    this.cancelAcknowledge = undefined
    if (!socket) return
    socket.onmessage = null
    socket.onclose = null
    try {
      socket.close(code)
    } catch {
      // It never opened.
    }
  }

  private ended(code: number): void {
    this.drop(1000)
    this.flush()
    if (!this.running) return
    if (code === 4009) {
      this.rest({ state: 'replaced' })
      return
    }
    if (code === 4401) {
      this.freshToken = true
    } else if (code >= 4400 && code < 4500 && code !== 4429) {
      this.rest({ state: 'refused', code })
      return
    }
    if (code >= 4100 && code < 4200) this.forget()
    const wait = this.drainMs ?? backoff(this.attempt, this.ports.random())
    this.attempt += 1
    this.ports.link({ state: 'offline', retryAt: this.ports.now() + wait })
    this.cancelRetry?.()
    this.cancelRetry = this.ports.after(wait, () => this.connect())
  }

  private rest(link: Link): void {
    this.running = false
    this.ports.link(link)
  }

  private forget(): void {
    this.cursor = undefined
    this.place = undefined
  }

  private async authenticate(socket: SocketLike, renewing: boolean): Promise<void> {
    let token: string | undefined
    try {
      token = await this.ports.token(this.freshToken || renewing)
    } catch {
      if (this.socket === socket && !renewing) this.ended(4003)
      return
    }
    if (this.socket !== socket) return
    if (token === undefined) {
      this.drop(1000)
      this.running = false
      this.ports.signedOut()
      return
    }
    this.freshToken = false
    if (renewing) return this.send({ op: 'auth', id: 2, token } as ClientFrame)
    const resume = this.cursor && { cur: this.cursor, ...(this.place ? { p: this.place } : {}) }
    if (this.everLive) this.ports.link({ state: 'catching_up' })
    this.send({
      op: 'auth',
      id: 1,
      token,
      device: this.ports.device,
      subs: this.ports.topics,
      caps: ['batch', 'ack'],
      ...(resume ? { resume } : {}),
    } as ClientFrame)
  }

  private take(frame: ServerFrame, socket: SocketLike): void {
    switch (frame.op) {
      case 'hello':
        this.heartbeatMs = frame.hb
        void this.authenticate(socket, false)
        break
      case 'ready':
        if (frame.id !== 1) break
        this.attempt = 0
        this.join()
        if (frame.resumed) break
        this.cursor = frame.cur
        this.place = undefined
        this.live()
        this.ports.reset()
        break
      case 'resumed':
        if (this.check(frame.n)) this.keep(frame.cur)
        this.live()
        break
      case 'ev':
      case 'gone':
        this.count(frame.p as unknown as Place, frame)
        break
      case 'hb':
        if (!this.check(frame.n)) break
        if (frame.cur) this.keep(frame.cur)
        this.acknowledged = this.counted
        this.send({ op: 'hb', n: this.counted } as ClientFrame)
        break
      case 'expiring':
        void this.authenticate(socket, true)
        break
      case 'ok': {
        const topic = this.ports.later?.[frame.id - JOIN_ID]
        if (topic) this.ports.joined?.(topic)
        break
      }
      case 'drain':
        this.drainMs = frame.after
        break
      case 'gap':
        this.ports.reset()
        break
      default:
        this.push(frame)
    }
  }

  private join(): void {
    this.ports.later?.forEach((topic, index) => {
      this.send({ op: 'sub', id: JOIN_ID + index, topic } as ClientFrame)
    })
  }

  private live(): void {
    this.everLive = true
    this.ports.link({ state: 'live' })
  }

  private keep(cursor: string): void {
    this.cursor = cursor
    this.place = undefined
  }

  /** Whether as many counted frames came as were sent; if not, the way between is broken. */
  private check(sent: number): boolean {
    if (sent === this.counted) return true
    this.ended(4002)
    return false
  }

  private count(place: Place, frame: ServerFrame): void {
    this.counted += 1
    const known = this.place
    const old = known !== undefined && known[0] === place[0] && place[1] <= known[1]
    if (!old) {
      this.place = place
      this.push(frame)
    }
    if (this.counted - this.acknowledged >= ACKNOWLEDGE_EVERY) {
      this.acknowledge()
    } else {
      this.cancelAcknowledge ??= this.ports.after(ACKNOWLEDGE_WITHIN_MS, () => this.acknowledge())
    }
  }

  private acknowledge(): void {
    this.cancelAcknowledge?.()
    this.cancelAcknowledge = undefined
    if (this.acknowledged === this.counted) return
    this.acknowledged = this.counted
    this.send({ op: 'ack', n: this.counted } as ClientFrame)
  }

  private push(frame: ServerFrame): void {
    this.queue.push(frame)
    if (this.cancelFlush) return
    const run = () => {
      this.cancelFlush = undefined
      this.flush()
    }
    if (this.ports.hidden()) {
      this.cancelFlush = this.ports.after(HIDDEN_FLUSH_MS, run)
    } else if (this.ports.now() - this.flushed > LEADING_EDGE_MS) {
      // The rest of the same message first, so that a batch of the hub is one batch here.
      let cancelled = false
      this.cancelFlush = () => {
        cancelled = true
      }
      queueMicrotask(() => {
        if (!cancelled) run()
      })
    } else {
      this.cancelFlush = this.ports.frame(run)
    }
  }

  private flush(): void {
    this.cancelFlush?.()
    this.cancelFlush = undefined
    if (this.queue.length === 0) return
    const frames = this.queue
    this.queue = []
    this.flushed = this.ports.now()
    this.ports.deliver(frames)
  }
}
