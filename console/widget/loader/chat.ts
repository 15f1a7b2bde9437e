/**
 * One visitor's conversation: the visitors' socket of the hub (docs/socket.md) with what waits to be sent, what was said, and
 * what of it was seen. It comes back after every end that can be come back from, asks for what it missed, and sends what the
 * hub may not have again with the same key. It touches no document; `Ports` are its hands.
 */
import { backoff, type SocketLike } from '../../src/live/socket'
import type { ClientFrame, Link, ServerFrame, Shown, Talk, Told, UploadedFile, VisitorMessage } from '../shared/between'
import { type Kept, type Memory, MOST_WAITING, type Place } from './kept'

/** The most messages in memory; earlier ones are asked for again. */
const MOST_MESSAGES = 1_000
/** As many messages as the hub sends to whoever comes: as many may mean that there are more. */
const FIRST_PAGE = 50
/** How long the upgrade may take. */
const OPENING_MS = 10_000
/** How long to stay away if this visitor has too many connections. */
const CROWDED_MS = 60_000
/** Typing is told again after so long. */
const TYPING_EVERY_MS = 3_000
/** Before something that was refused for a while is tried again, where the hub says no time. */
const AGAIN_MS = 2_000
/** What was written longer ago is not sent by itself any more: the visitor is asked. */
const STALE_MS = 24 * 3_600_000

type Cancel = () => void

export interface Ports {
  open(): SocketLike
  /** A fresh statement of the site on who the visitor is; absent for visitors whom it does not know. */
  identity?: () => Promise<string>
  /** Whether the form before the first message has fields. */
  asks: boolean
  memory: Memory
  now(): number
  random(): number
  after(ms: number, run: () => void): Cancel
  /** A text that nobody can guess, for the key of a message. */
  key(): string
  /** Uploads a file; nothing if the hub does not take it. Rejects if the hub cannot be reached. */
  upload(url: string, file: File): Promise<UploadedFile | undefined>
  /** Something of the talk has changed. */
  changed(): void
}

interface Waiting extends Kept {
  state: 'waiting' | 'sent' | 'failed'
  /** A file instead of a text. It cannot be kept over the page's end. */
  file?: File
  /** The file, once the hub has it. */
  taken?: UploadedFile
}

export class Chat {
  private socket: SocketLike | undefined
  private preparing = false
  private link: Link = 'idle'
  private attempt = 0
  private heartbeatMs = 25_000
  private drainMs: number | undefined
  private withIdentity = false
  private refusals = 0
  private numbers = 1
  private readonly messages = new Map<string, VisitorMessage>()
  private place: Place | undefined
  private earlier: Talk['earlier'] = 'none'
  private waiting: Waiting[]
  private sending: { id: number; key: string } | undefined
  private attentive = false
  private paused = false
  private lastTyping = Number.NEGATIVE_INFINITY
  private typing = false
  private cancelTyping: Cancel | undefined
  private cancelRetry: Cancel | undefined
  private cancelWatch: Cancel | undefined
  private cancelPump: Cancel | undefined

  constructor(private readonly ports: Ports) {
    const now = ports.now()
    const state = (one: Kept) => (now - one.at > STALE_MS ? 'failed' : 'waiting')
    this.waiting = ports.memory.waiting().map((one) => ({ ...one, state: state(one) }))
    // Whoever has never written is left alone until they open the chat.
    if (ports.memory.token || ports.memory.spoken || this.waiting.length > 0) this.connect()
  }

  get talk(): Talk {
    const messages = [...this.messages.values()].sort(
      (one, other) => (one.at < other.at ? -1 : one.at > other.at ? 1 : 0) || one.seq - other.seq,
    )
    const said = messages.map<Shown>((one) => ({
      id: one.from === 'visitor' && one.key ? `key:${one.key}` : one.id,
      from: one.from,
      text: one.body.text ?? '',
      attachments: one.body.attachments ?? [],
      at: one.at,
      ...(one.from === 'visitor' ? { state: 'sent' as const } : {}),
    }))
    const kept = this.waiting.map<Shown>((one) => ({
      id: `key:${one.key}`,
      from: 'visitor',
      text: one.text,
      attachments: one.file ? [{ url: '', content_type: one.file.type, name: one.file.name }] : [],
      at: new Date(one.at).toISOString(),
      state: one.state,
    }))
    const { link, typing, earlier } = this
    return { link, asks: this.asks(), messages: [...said, ...kept], typing, earlier }
  }

  /** Messages that the visitor has not seen. */
  get unread(): number {
    return [...this.messages.values()].filter((one) => this.isNew(one)).length
  }

  /** The visitor has the chat before them, or no longer. */
  attend(attentive: boolean): void {
    this.attentive = attentive
    if (!attentive) return
    if (this.link === 'idle' && !this.asks()) this.connect()
    this.see()
  }

  /** What the visitor told of themselves: the chat begins. */
  begin(told: Told): void {
    this.ports.memory.told = told
    this.connect()
    this.ports.changed()
  }

  /** Takes a message; `false` if too many wait already. */
  send(text: string): boolean {
    if (this.waiting.length >= MOST_WAITING) return false
    const one: Kept = { key: this.ports.key(), text, at: this.ports.now() }
    this.ports.memory.keep(one)
    this.enqueue({ ...one, state: 'waiting' })
    return true
  }

  /** Takes a file, which is a message of its own; `false` if too many wait already. */
  attach(file: File): boolean {
    if (this.waiting.length >= MOST_WAITING) return false
    this.enqueue({ key: this.ports.key(), text: '', at: this.ports.now(), state: 'waiting', file })
    return true
  }

  private enqueue(one: Waiting): void {
    this.waiting.push(one)
    if (this.link === 'idle') this.connect()
    this.pump()
    this.ports.changed()
  }

  /** Tries a message again that could not be sent. */
  again(id: string): void {
    const one = this.waiting.find((other) => `key:${other.key}` === id)
    if (one?.state !== 'failed') return
    one.state = 'waiting'
    one.at = this.ports.now()
    if (!one.file) this.ports.memory.keep(one)
    if (this.link === 'idle') this.connect()
    this.pump()
    this.ports.changed()
  }

  /** The visitor is writing. */
  type(): void {
    const now = this.ports.now()
    if (this.link !== 'live' || !this.place || now - this.lastTyping < TYPING_EVERY_MS) return
    this.lastTyping = now
    this.put({ op: 'typing' })
  }

  /** Asks for what was said before. */
  lookBack(): void {
    if (this.earlier !== 'some' || this.link !== 'live' || !this.place) return
    const numbers = [...this.messages.values()]
      .filter((one) => one.conversation_id === this.place?.conversation_id)
      .map((one) => one.seq)
    if (numbers.length === 0) return
    this.earlier = 'loading'
    this.numbers += 1
    this.put({ op: 'history', id: this.numbers, before: Math.min(...numbers) })
    this.ports.changed()
  }

  /** Another tab has seen something. */
  recount(): void {
    this.ports.changed()
  }

  /** The network is back, or somebody asks for it: tries at once. */
  nudge(): void {
    if (this.link !== 'offline' || this.socket || this.paused) return
    this.attempt = 0
    this.connect()
  }

  /** The network is gone, which a socket notices late. */
  cut(): void {
    if (this.socket) this.ended(1006)
  }

  /** The page is put away; a page with a socket would not be kept by the browser. */
  pause(): void {
    this.paused = true
    this.cancelRetry?.()
    this.drop()
  }

  /** The page is back. */
  resume(): void {
    if (!this.paused) return
    this.paused = false
    if (this.link !== 'idle') this.connect()
  }

  /** Ends for good. */
  stop(): void {
    this.pause()
    this.cancelTyping?.()
    this.link = 'idle'
  }

  private asks(): boolean {
    const { memory, identity, asks } = this.ports
    return asks && !identity && !memory.token && !memory.told
  }

  private isNew(one: VisitorMessage): boolean {
    if (one.from === 'visitor' || one.status === 'read' || one.conversation_id !== this.place?.conversation_id)
      return false
    const seen = this.ports.memory.seen
    return seen?.conversation_id !== one.conversation_id || one.seq > seen.seq
  }

  private connect(): void {
    if (this.socket || this.preparing || this.paused) return
    this.cancelRetry?.()
    this.link = this.link === 'offline' ? 'offline' : 'connecting'
    this.preparing = true
    void this.introduction()
      .then((auth) => {
        this.preparing = false
        if (!this.paused) this.open(auth)
      })
      .catch(() => {
        this.preparing = false
        if (!this.paused) this.ended(4003)
      })
    this.ports.changed()
  }

  /** Who the visitor is: the hub's own token, else the site's word, else somebody new. */
  private async introduction(): Promise<ClientFrame> {
    const { memory, identity } = this.ports
    const token = memory.token
    this.withIdentity = !token && identity !== undefined
    const after = this.place ? { after: this.place } : {}
    if (token) return { op: 'auth', id: 1, token, ...after } as ClientFrame
    if (identity) return { op: 'auth', id: 1, identity: await identity(), ...after } as ClientFrame
    return { op: 'auth', id: 1, new: true, ...(memory.told ?? {}) } as ClientFrame
  }

  private open(auth: ClientFrame): void {
    const socket = this.ports.open()
    this.socket = socket
    this.drainMs = undefined
    this.watch(OPENING_MS)
    socket.onmessage = (event) => {
      if (this.socket !== socket || typeof event.data !== 'string') return
      this.watch(this.heartbeatMs * 1.5)
      for (const line of event.data.split('\n')) if (line) this.take(JSON.parse(line) as ServerFrame, auth)
    }
    socket.onclose = (event) => {
      if (this.socket === socket) this.ended(event.code)
    }
  }

  private put(frame: ClientFrame): void {
    this.socket?.send(JSON.stringify(frame))
  }

  private watch(ms: number): void {
    this.cancelWatch?.()
    this.cancelWatch = this.ports.after(ms, () => this.ended(4002))
  }

  private drop(): void {
    const socket = this.socket
    this.socket = undefined
    this.sending = undefined
    this.cancelWatch?.()
    this.cancelPump?.()
    this.cancelPump = undefined
    if (this.earlier === 'loading') this.earlier = 'some'
    if (!socket) return
    socket.onmessage = null
    socket.onclose = null
    try {
      socket.close(1000)
    } catch {
      // It never opened.
    }
  }

  private ended(code: number): void {
    this.drop()
    let wait = this.drainMs ?? backoff(this.attempt, this.ports.random())
    this.attempt += 1
    if (code === 4401) {
      if (this.withIdentity) this.refusals += 1
      else this.forget()
      if (this.refusals > 1) {
        this.rest('unknown_visitor')
        return
      }
    } else if (code === 4429) {
      wait = CROWDED_MS
    } else if (code >= 4400 && code < 4500) {
      this.rest('refused')
      return
    } else if (code >= 4100 && code < 4200) {
      this.place = undefined
    }
    this.link = 'offline'
    this.cancelRetry?.()
    this.cancelRetry = this.ports.after(wait, () => this.connect())
    this.ports.changed()
  }

  private rest(link: Link): void {
    this.link = link
    this.ports.changed()
  }

  /** The token is not good any more. For a visitor whom the site does not know, it was all that they had. */
  private forget(): void {
    this.ports.memory.token = undefined
    if (this.ports.identity) return
    this.place = undefined
    this.messages.clear()
    this.earlier = 'none'
    this.ports.memory.seen = undefined
  }

  private take(frame: ServerFrame, auth: ClientFrame): void {
    switch (frame.op) {
      case 'hello':
        this.heartbeatMs = frame.hb
        this.put(auth)
        break
      case 'ready':
        this.welcome(frame)
        break
      case 'history':
        for (const one of frame.messages) this.messages.set(one.id, one)
        this.earlier = frame.messages.length > 0 ? 'some' : 'none'
        this.ports.changed()
        break
      case 'msg':
        this.add(frame)
        this.see()
        this.ports.changed()
        break
      case 'upload':
        this.upload(frame)
        break
      case 'ok':
        this.settled(frame.id, 'sent')
        break
      case 'err':
        if (frame.temp && frame.id === this.sending?.id) {
          this.retry(frame.after_ms ?? AGAIN_MS)
        } else {
          if (this.earlier === 'loading') this.earlier = 'some'
          this.settled(frame.id, 'failed')
        }
        break
      case 'typing':
        this.showTyping(frame.ttl)
        break
      case 'hb':
        this.put({ op: 'hb' })
        break
      case 'drain':
        this.drainMs = frame.after
        break
    }
  }

  private welcome(frame: Extract<ServerFrame, { op: 'ready' }>): void {
    const { memory } = this.ports
    this.attempt = 0
    this.refusals = 0
    memory.token = frame.token
    this.link = 'live'
    const goesOn = this.place !== undefined && this.place.conversation_id === frame.conversation_id
    if (!goesOn && frame.history.length >= FIRST_PAGE) this.earlier = 'some'
    if (frame.conversation_id) memory.spoken = true
    for (const one of frame.history) this.add(one)
    this.see()
    this.pump()
    this.ports.changed()
  }

  private add(one: VisitorMessage): void {
    this.messages.set(one.id, one)
    if (this.messages.size > MOST_MESSAGES) {
      const oldest = [...this.messages.values()].reduce((first, other) => (other.at < first.at ? other : first))
      this.messages.delete(oldest.id)
      this.earlier = 'some'
    }
    const newer = this.place?.conversation_id !== one.conversation_id || one.seq > this.place.seq
    if (newer) this.place = { conversation_id: one.conversation_id, seq: one.seq }
    this.ports.memory.spoken = true
    if (one.from !== 'visitor') this.showTyping(0)
    if (one.from === 'visitor' && one.key) this.arrived(one.key)
  }

  /** A message of the visitor has come back with its number. */
  private arrived(key: string): void {
    this.waiting = this.waiting.filter((one) => one.key !== key)
    this.ports.memory.drop(key)
    if (this.sending?.key !== key) return
    this.sending = undefined
    this.pump()
  }

  private settled(id: number, state: 'sent' | 'failed'): void {
    if (this.sending?.id !== id) return
    const one = this.waiting.find((other) => other.key === this.sending?.key)
    this.sending = undefined
    if (one) {
      one.state = state
      // What the hub has is durable there; what it refused stays until the visitor decides.
      if (state === 'sent') this.ports.memory.drop(one.key)
    }
    this.pump()
    this.ports.changed()
  }

  /** Sends what waits, one after the other, so that it arrives in its order. */
  private pump(): void {
    if (this.link !== 'live' || this.sending) return
    const one = this.waiting.find((other) => other.state === 'waiting')
    if (!one) return
    this.numbers += 1
    const id = this.numbers
    this.sending = { id, key: one.key }
    const files = one.taken ? { files: [one.taken.url] } : {}
    if (one.file && !one.taken) this.put({ op: 'upload', id })
    else this.put({ op: 'send', id, key: one.key, text: one.text, ...files })
  }

  /** The hub says where the file that is next can be uploaded. */
  private upload(frame: Extract<ServerFrame, { op: 'upload' }>): void {
    const one = this.waiting.find((other) => other.key === this.sending?.key)
    if (this.sending?.id !== frame.id || !one?.file) return
    if (one.file.size > frame.max_bytes) {
      this.settled(frame.id, 'failed')
      return
    }
    this.ports.upload(frame.url, one.file).then(
      (taken) => {
        if (!taken) {
          one.state = 'failed'
          this.settled(frame.id, 'failed')
          this.ports.changed()
          return
        }
        // It is the hub's, even if the connection was lost meanwhile.
        one.taken = taken
        if (this.sending?.id === frame.id) this.sending = undefined
        this.pump()
      },
      () => {
        if (this.sending?.id === frame.id) this.retry(AGAIN_MS)
      },
    )
  }

  /** What is being sent is tried again after a while. */
  private retry(ms: number): void {
    this.cancelPump?.()
    this.cancelPump = this.ports.after(ms, () => {
      this.sending = undefined
      this.pump()
    })
  }

  /** Tells the hub what has arrived, and what was seen. */
  private see(): void {
    const theirs = [...this.messages.values()].filter((one) => this.isNew(one))
    const newest = theirs.reduce((most, one) => Math.max(most, one.seq), 0)
    if (newest === 0 || !this.place || this.link !== 'live') return
    this.put({ op: 'ack', seq: newest, ...(this.attentive ? { read: true } : {}) } as ClientFrame)
    if (!this.attentive) return
    this.ports.memory.seen = { conversation_id: this.place.conversation_id, seq: newest }
    this.ports.changed()
  }

  private showTyping(ms: number): void {
    this.cancelTyping?.()
    const typing = ms > 0
    if (typing) this.cancelTyping = this.ports.after(ms, () => this.showTyping(0))
    if (this.typing === typing) return
    this.typing = typing
    this.ports.changed()
  }
}
