/**
 * What this tab knows: conversations, lists of them, open threads, what waits to be sent, presence, the board.
 *
 * The socket's frames and REST's answers come together here. Events win over answers that were asked for before them; lists
 * are kept sorted as events come, never loaded anew for them. Components read it through `useDesk` with narrow selectors.
 */
import { createStore } from 'zustand/vanilla'
import { type Failure, failure } from '../api/client'
import type { Conversation, EventRecord, KpiBoard, Message, Presence, ServerFrame, Status } from '../api/types'
import type { ConversationChange, HubPort } from './ports'
import type { Link } from './socket'
import { added, atEnd, changed, EMPTY, first, join, last, PAGE, pageBefore, type Window } from './window'

/** How many threads stay in memory besides the open one. */
const THREADS = 12
/** How many messages a thread is opened with. */
const OPENING = 60
/** The longest wait between two tries of a send, and the first. */
const RETRY_MOST_MS = 15_000
const RETRY_FIRST_MS = 700
/** The hub knows a key for 24 hours; a send that is older is not repeated by itself. */
const KEY_GOOD_MS = 23 * 3600_000

export type Assignee = 'me' | 'none' | 'all'
export interface View {
  assignee: Assignee
  status: Status
}
export const viewKey = (view: View): string => `${view.assignee}/${view.status}`

export interface List {
  view: View
  ids: string[]
  /** Where the next page begins; absent when all are here. */
  next?: string
  state: 'loading' | 'ready' | 'failed'
  error?: Failure
}

export interface Thread {
  window: Window
  state: 'loading' | 'ready' | 'failed'
  error?: Failure
  /** A page is on its way. */
  paging: boolean
  /** The reader is at the end, so the window follows it. */
  following: boolean
}

/** A message or note that the hub has not confirmed. */
export interface Pending {
  key: string
  conversation_id: string
  kind: 'message' | 'note'
  text: string
  at: number
  state: 'sending' | 'waiting' | 'failed'
  error?: { code: string; reason: string }
}

export interface DeskState {
  link: Link
  conversations: ReadonlyMap<string, Conversation>
  lists: Readonly<Record<string, List>>
  threads: ReadonlyMap<string, Thread>
  pending: readonly Pending[]
  presence: ReadonlyMap<string, Presence>
  /** Who types: by conversation, `user_id` or `contact`, until when. */
  typing: ReadonlyMap<string, ReadonlyMap<string, number>>
  viewing: ReadonlyMap<string, ReadonlyMap<string, number>>
  board?: KpiBoard
}

export interface DeskPorts {
  hub: HubPort
  me: string
  now(): number
  after(ms: number, run: () => void): () => void
  key(): string
  /** Keeps what waits to be sent over a reload. */
  keep(pending: readonly Pending[]): void
}

const blank = (): DeskState => ({
  link: { state: 'idle' },
  conversations: new Map(),
  lists: {},
  threads: new Map(),
  pending: [],
  presence: new Map(),
  typing: new Map(),
  viewing: new Map(),
})

/** How many of the contact's messages somebody has not seen. */
export const unread = (conversation: Conversation, user: string): number =>
  Math.max(0, (conversation.inbound_count ?? 0) - (conversation.reads?.[user] ?? 0))

export class Desk {
  readonly store = createStore<DeskState>()(blank)
  /** Counts changes by events; what an answer may overwrite is decided by it. */
  private clock = 0
  private touched = new Map<string, number>()
  private sending = new Set<string>()
  private filling = new Set<string>()
  private opened: string | undefined
  private ended = false

  constructor(private readonly ports: DeskPorts) {}

  get state(): DeskState {
    return this.store.getState()
  }

  private set(part: Partial<DeskState>): void {
    if (!this.ended) this.store.setState(part)
  }

  end(): void {
    this.ended = true
  }

  setLink(link: Link): void {
    const was = this.state.link.state
    this.set({ link })
    if (link.state === 'live' && was !== 'live') this.sendAll()
  }

  // ---- frames ----

  /** A batch of the socket's frames, in their order: one change of the state. */
  deliver(frames: readonly ServerFrame[]): void {
    const draft = new Draft(this.state)
    const gaps = new Set<string>()
    for (const frame of frames) {
      if (frame.op === 'ev') this.event(frame.d, draft, gaps)
      else if (frame.op === 'gone') this.gone(frame.conversation_id, draft)
      else if (frame.op === 'kpi') draft.board = frame.d
      else if (frame.op === 'presence') for (const one of frame.d) draft.presence().set(one.user_id, one)
      else if (frame.op === 'eph') this.hint(frame, draft)
    }
    this.set(draft.changes())
    for (const id of gaps) void this.fill(id)
  }

  private event(record: EventRecord, draft: Draft, gaps: Set<string>): void {
    const { event, conversation } = record
    if (event.type === 'agent_presence_changed') draft.presence().set(event.user_id, event)
    if (!conversation) return
    this.clock += 1
    this.touched.set(conversation.id, this.clock)
    draft.upsert(conversation, this.ports.me)
    if (event.type === 'message_added') {
      const { message } = event
      if (message.client_key) draft.settle(message.client_key)
      if (message.direction === 'inbound') draft.quiet(conversation.id, 'contact')
      else if (message.author.type === 'agent') draft.quiet(conversation.id, message.author.user_id)
      const thread = draft.threads.get(conversation.id)
      if (thread?.state !== 'ready') return
      const applied = added(thread.window, message, thread.following)
      draft.thread(conversation.id, { window: applied.window })
      if (applied.gap) gaps.add(conversation.id)
    } else {
      const thread = draft.threads.get(conversation.id)
      if (thread) draft.thread(conversation.id, { window: changed(thread.window, event) })
    }
  }

  private gone(id: string, draft: Draft): void {
    this.clock += 1
    this.touched.set(id, this.clock)
    draft.remove(id)
  }

  private hint(frame: Extract<ServerFrame, { op: 'eph' }>, draft: Draft): void {
    const who = frame.user_id ?? 'contact'
    if (who === this.ports.me) return
    const until = this.ports.now() + frame.ttl
    draft.hint(frame.k, frame.conversation_id, who, until)
    this.ports.after(frame.ttl + 50, () => this.forgetHints())
  }

  private forgetHints(): void {
    const now = this.ports.now()
    const kept = (all: DeskState['typing']) => {
      const rest = new Map<string, ReadonlyMap<string, number>>()
      for (const [id, people] of all) {
        const still = new Map([...people].filter(([, until]) => until > now))
        if (still.size > 0) rest.set(id, still.size === people.size ? people : still)
      }
      return rest
    }
    this.set({ typing: kept(this.state.typing), viewing: kept(this.state.viewing) })
  }

  /** Events may be missing: what is shown is loaded anew, and stays on the screen until it is. */
  reset(): void {
    for (const list of Object.values(this.state.lists)) void this.load(list.view)
    const threads = new Map([...this.state.threads].filter(([id]) => id === this.opened))
    this.set({ threads })
    if (this.opened) void this.refresh(this.opened)
  }

  // ---- lists ----

  async load(view: View): Promise<void> {
    const key = viewKey(view)
    const known = this.state.lists[key]
    this.putList({ view, ids: known?.ids ?? [], next: known?.next, state: 'loading' })
    const asked = this.clock
    try {
      const page = await this.ports.hub.list(view.assignee, view.status, undefined)
      this.takePage(view, page, asked, true)
    } catch (error) {
      const now = this.state.lists[key]
      if (now) this.putList({ ...now, state: 'failed', error: failure(error) })
    }
  }

  async more(view: View): Promise<void> {
    const list = this.state.lists[viewKey(view)]
    if (!list?.next || list.state === 'loading') return
    this.putList({ ...list, state: 'loading' })
    const asked = this.clock
    try {
      this.takePage(view, await this.ports.hub.list(view.assignee, view.status, list.next), asked, false)
    } catch (error) {
      const now = this.state.lists[viewKey(view)]
      if (now) this.putList({ ...now, state: 'failed', error: failure(error) })
    }
  }

  private putList(list: List): void {
    this.set({ lists: { ...this.state.lists, [viewKey(list.view)]: list } })
  }

  private takePage(view: View, page: { items: Conversation[]; next?: string }, asked: number, fresh: boolean): void {
    const draft = new Draft(this.state)
    const key = viewKey(view)
    const list = this.state.lists[key]
    if (!list) return
    for (const item of page.items) this.merge(item, asked, draft)
    const ids = new Set(fresh ? [] : list.ids)
    for (const item of page.items) ids.add(item.id)
    // What came by events since the request was made belongs here too, unless it left.
    for (const [id, at] of this.touched) if (at > asked) ids.add(id)
    const shown = [...ids].filter((id) => {
      const conversation = draft.conversations.get(id)
      return conversation !== undefined && belongs(conversation, view, this.ports.me)
    })
    shown.sort((a, b) => order(draft.conversations.get(a), draft.conversations.get(b)))
    const next: List = { view, ids: shown, state: 'ready', ...(page.next ? { next: page.next } : {}) }
    this.set({ ...draft.changes(), lists: { ...draft.lists, [key]: next } })
  }

  /** An answer's conversation, unless an event that came since knows better. */
  private merge(conversation: Conversation, asked: number, draft: Draft): void {
    const at = this.touched.get(conversation.id) ?? -1
    if (at <= asked) draft.upsert(conversation, this.ports.me)
  }

  private take(conversation: Conversation, asked: number): void {
    const draft = new Draft(this.state)
    this.merge(conversation, asked, draft)
    this.set(draft.changes())
  }

  // ---- threads ----

  async open(id: string): Promise<void> {
    this.opened = id
    const known = this.state.threads.get(id)
    if (known?.state === 'ready') {
      this.putThread(id, { following: true })
      if (!atEnd(known.window)) await this.toEnd(id)
      return
    }
    await this.refresh(id)
  }

  close(id: string): void {
    if (this.opened === id) this.opened = undefined
  }

  /** Loads a thread, or what of a loaded one may have changed while no events came. */
  private async refresh(id: string): Promise<void> {
    const known = this.state.threads.get(id)
    if (known?.state !== 'ready') {
      this.putThread(id, { window: EMPTY, state: 'loading', paging: false, following: true })
    }
    const asked = this.clock
    try {
      const conversation = await this.ports.hub.conversation(id)
      this.take(conversation, asked)
      const end = conversation.last_seq
      const window = known?.state === 'ready' && known.following ? known.window : EMPTY
      const from = Math.max(0, end - Math.min(PAGE, Math.max(OPENING, end - first(window) + 1)))
      const page = await this.ports.hub.messages(id, from, PAGE)
      const thread = this.state.threads.get(id)
      if (!thread) return
      const base = thread.state === 'ready' ? thread.window : EMPTY
      const joined = join({ ...base, newest: Math.max(base.newest, end) }, page, 'end')
      this.putThread(id, { window: joined, state: 'ready', error: undefined })
      await this.fill(id)
    } catch (error) {
      if (this.state.threads.get(id)?.state !== 'ready') this.putThread(id, { state: 'failed', error: failure(error) })
    }
  }

  private putThread(id: string, part: Partial<Thread>): void {
    const draft = new Draft(this.state)
    draft.thread(id, part)
    if (draft.threads.size > THREADS) {
      const oldest = [...draft.threads.keys()].find((other) => other !== this.opened && other !== id)
      if (oldest) draft.dropThread(oldest)
    }
    this.set(draft.changes())
  }

  /** Fetches what is missing between the window and the newest message. */
  private async fill(id: string): Promise<void> {
    if (this.filling.has(id)) return
    this.filling.add(id)
    try {
      for (;;) {
        const thread = this.state.threads.get(id)
        if (!thread?.following || atEnd(thread.window)) return
        const page = await this.ports.hub.messages(id, last(thread.window), PAGE)
        const now = this.state.threads.get(id)
        if (!now || page.length === 0) return
        for (const message of page) if (message.client_key) this.settle(message.client_key)
        this.putThread(id, { window: join(now.window, page, 'end') })
      }
    } catch {
      // The next event of the thread finds the same gap.
    } finally {
      this.filling.delete(id)
    }
  }

  async before(id: string): Promise<void> {
    await this.page(id, 'start')
  }

  async after(id: string): Promise<void> {
    await this.page(id, 'end')
  }

  private async page(id: string, side: 'start' | 'end'): Promise<void> {
    const thread = this.state.threads.get(id)
    if (!thread || thread.paging || thread.state !== 'ready') return
    const window = thread.window
    const want =
      side === 'start' ? pageBefore(window) : atEnd(window) ? undefined : { after_seq: last(window), limit: PAGE }
    if (!want) return
    this.putThread(id, { paging: true })
    try {
      const page = await this.ports.hub.messages(id, want.after_seq, want.limit)
      const now = this.state.threads.get(id)
      if (now) this.putThread(id, { window: join(now.window, page, side), paging: false })
    } catch (error) {
      this.putThread(id, { paging: false, error: failure(error) })
    }
  }

  /** Loads the end of a thread whose window was moved away from it. */
  async toEnd(id: string): Promise<void> {
    const thread = this.state.threads.get(id)
    if (!thread) return
    this.putThread(id, { following: true })
    if (atEnd(thread.window)) return
    const from = Math.max(0, thread.window.newest - OPENING)
    try {
      const page = await this.ports.hub.messages(id, from, PAGE)
      const now = this.state.threads.get(id)
      if (now) this.putThread(id, { window: join(now.window, page, 'end') })
    } catch (error) {
      this.putThread(id, { error: failure(error) })
    }
  }

  follow(id: string, following: boolean): void {
    if (this.state.threads.get(id)?.following !== following) this.putThread(id, { following })
  }

  // ---- wishes ----

  async change(id: string, change: ConversationChange): Promise<void> {
    const asked = this.clock
    this.take(await this.ports.hub.change(id, change), asked)
  }

  async markRead(id: string, seq: number): Promise<void> {
    const conversation = this.state.conversations.get(id)
    if (!conversation || unread(conversation, this.ports.me) === 0) return
    const asked = this.clock
    try {
      this.take(await this.ports.hub.read(id, seq), asked)
    } catch {
      // It is said again with the next message that is seen.
    }
  }

  send(id: string, kind: Pending['kind'], text: string): void {
    const one: Pending = {
      key: this.ports.key(),
      conversation_id: id,
      kind,
      text,
      at: this.ports.now(),
      state: 'sending',
    }
    this.putPending([...this.state.pending, one])
    void this.sendIn(id)
  }

  /** What an earlier visit left unsent. */
  resumeSends(pending: readonly Pending[]): void {
    const tooOld = { code: 'too_old', reason: '' }
    const now = this.ports.now()
    this.putPending(
      pending.map((one) =>
        now - one.at > KEY_GOOD_MS && one.state !== 'failed' ? { ...one, state: 'failed', error: tooOld } : one,
      ),
    )
    this.sendAll()
  }

  retryPending(key: string): void {
    this.patchPending(key, { state: 'sending', error: undefined })
    const one = this.state.pending.find((other) => other.key === key)
    if (one) void this.sendIn(one.conversation_id)
  }

  dropPending(key: string): void {
    this.settle(key)
  }

  async retryMessage(id: string, seq: number): Promise<void> {
    const message = await this.ports.hub.retry(id, seq, this.ports.key())
    const thread = this.state.threads.get(id)
    if (thread) this.putThread(id, { window: join(thread.window, [message], 'end') })
  }

  private putPending(pending: readonly Pending[]): void {
    this.set({ pending })
    this.ports.keep(pending)
  }

  private patchPending(key: string, part: Partial<Pending>): void {
    this.putPending(this.state.pending.map((one) => (one.key === key ? { ...one, ...part } : one)))
  }

  private settle(key: string): void {
    if (this.state.pending.some((one) => one.key === key)) {
      this.putPending(this.state.pending.filter((one) => one.key !== key))
    }
  }

  private sendAll(): void {
    for (const id of new Set(this.state.pending.map((one) => one.conversation_id))) void this.sendIn(id)
  }

  /** Sends a conversation's messages one after the other, so that they arrive in the order in which they were written. */
  private async sendIn(id: string): Promise<void> {
    if (this.sending.has(id)) return
    this.sending.add(id)
    let tries = 0
    try {
      for (;;) {
        const one = this.state.pending.find((other) => other.conversation_id === id && other.state !== 'failed')
        if (!one || this.ended) return
        try {
          const send = one.kind === 'note' ? this.ports.hub.note : this.ports.hub.send
          this.sent(one, await send(id, one.key, one.text))
          tries = 0
        } catch (error) {
          const why = failure(error)
          if (!why.temporary) {
            this.patchPending(one.key, { state: 'failed', error: { code: why.code, reason: why.message } })
            continue
          }
          this.patchPending(one.key, { state: 'waiting' })
          tries += 1
          const wait = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** Math.min(tries - 1, 6))
          await new Promise<void>((resolve) => this.ports.after(wait, resolve))
        }
      }
    } finally {
      this.sending.delete(id)
    }
  }

  private sent(one: Pending, message: Message): void {
    const thread = this.state.threads.get(one.conversation_id)
    const draft = new Draft(this.state)
    draft.settle(one.key)
    let gap = false
    if (thread?.state === 'ready') {
      const applied = added(thread.window, message, thread.following)
      draft.thread(one.conversation_id, { window: applied.window })
      gap = applied.gap
    }
    this.set(draft.changes())
    this.ports.keep(this.state.pending)
    if (gap) void this.fill(one.conversation_id)
  }
}

/** Newest activity first; ids break ties, as the hub does. */
function order(a: Conversation | undefined, b: Conversation | undefined): number {
  if (!a || !b) return a ? -1 : b ? 1 : 0
  if (a.last_activity_at !== b.last_activity_at) return a.last_activity_at < b.last_activity_at ? 1 : -1
  return a.id < b.id ? 1 : -1
}

export function belongs(conversation: Conversation, view: View, me: string): boolean {
  if (conversation.status !== view.status) return false
  if (view.assignee === 'all') return true
  return view.assignee === 'me' ? conversation.assignee === me : !conversation.assignee
}

/** A change of the state under way: each part is copied at most once. */
class Draft {
  private maps: {
    conversations?: Map<string, Conversation>
    threads?: Map<string, Thread>
    presence?: Map<string, Presence>
  } = {}
  private parts: Partial<DeskState> = {}
  board: KpiBoard | undefined

  constructor(private readonly base: DeskState) {}

  get conversations(): ReadonlyMap<string, Conversation> {
    return this.maps.conversations ?? this.base.conversations
  }

  get threads(): ReadonlyMap<string, Thread> {
    return this.maps.threads ?? this.base.threads
  }

  get lists(): Readonly<Record<string, List>> {
    return this.parts.lists ?? this.base.lists
  }

  presence(): Map<string, Presence> {
    this.maps.presence ??= new Map(this.base.presence)
    return this.maps.presence
  }

  changes(): Partial<DeskState> {
    return { ...this.parts, ...this.maps, ...(this.board ? { board: this.board } : {}) }
  }

  upsert(conversation: Conversation, me: string): void {
    this.maps.conversations ??= new Map(this.base.conversations)
    const conversations = this.maps.conversations
    conversations.set(conversation.id, conversation)
    for (const [key, list] of Object.entries(this.lists)) {
      const was = list.ids.indexOf(conversation.id)
      const belonging = belongs(conversation, list.view, me)
      if (was < 0 && !belonging) continue
      const ids = list.ids.slice()
      if (was >= 0) ids.splice(was, 1)
      if (belonging) {
        const place = search(ids, conversation, conversations)
        // Below the last loaded one it comes with a later page.
        if (place < ids.length || !list.next || was >= 0) ids.splice(place, 0, conversation.id)
      }
      this.parts.lists = { ...this.lists, [key]: { ...list, ids } }
    }
  }

  remove(id: string): void {
    this.maps.conversations ??= new Map(this.base.conversations)
    this.maps.conversations.delete(id)
    for (const [key, list] of Object.entries(this.lists)) {
      if (!list.ids.includes(id)) continue
      this.parts.lists = { ...this.lists, [key]: { ...list, ids: list.ids.filter((other) => other !== id) } }
    }
    this.dropThread(id)
  }

  thread(id: string, part: Partial<Thread>): void {
    this.maps.threads ??= new Map(this.base.threads)
    const known = this.maps.threads.get(id) ?? { window: EMPTY, state: 'loading', paging: false, following: true }
    this.maps.threads.set(id, { ...known, ...part })
  }

  dropThread(id: string): void {
    this.maps.threads ??= new Map(this.base.threads)
    this.maps.threads.delete(id)
  }

  settle(key: string): void {
    const pending = this.parts.pending ?? this.base.pending
    if (pending.some((one) => one.key === key)) this.parts.pending = pending.filter((one) => one.key !== key)
  }

  hint(kind: 'typing' | 'viewing', id: string, who: string, until: number): void {
    const all = new Map(this.parts[kind] ?? this.base[kind])
    all.set(id, new Map(all.get(id)).set(who, until))
    this.parts[kind] = all
  }

  /** Who has written types no more. */
  quiet(id: string, who: string): void {
    const typing = this.parts.typing ?? this.base.typing
    if (!typing.get(id)?.has(who)) return
    const people = new Map(typing.get(id))
    people.delete(who)
    this.parts.typing = new Map(typing).set(id, people)
  }
}

function search(ids: readonly string[], one: Conversation, all: ReadonlyMap<string, Conversation>): number {
  let low = 0
  let high = ids.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (order(all.get(ids[middle] as string), one) < 0) low = middle + 1
    else high = middle
  }
  return low
}
