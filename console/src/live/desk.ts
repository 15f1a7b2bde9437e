/**
 * What this tab knows: conversations, lists of them, open threads, what waits to be sent, presence, the board.
 *
 * The socket's frames and REST's answers come together here. Events win over answers that were asked for before them; lists
 * are kept sorted as events come, never loaded anew for them. Components read it through `useDesk` with narrow selectors.
 */
import { createStore } from 'zustand/vanilla'
import { Failure, failure } from '../api/client'
import type { Conversation, EventRecord, Message, ServerFrame } from '../api/types'
import { Draft } from './draft'
import { type Carried, Outbox } from './outbox'
import type { ConversationChange, DeskPorts, LabelsChange, Outcome } from './ports'
import type { Link } from './socket'
import { blank, type DeskState, type List, type Pending, type Thread } from './state'
import { belongs, order, unread, type View, viewKey } from './view'
import { added, atEnd, changed, EMPTY, first, join, last, PAGE, pageBefore } from './window'

/** How many threads stay in memory besides the open one. */
const THREADS = 12
/** How many lists are kept up to date. */
const LISTS = 8
/** How many messages a thread is opened with. */
const OPENING = 60
/** How many conversations one request changes. */
const BULK = 100
/** How many events of a thread are remembered while a page of it is on its way. */
const HEARD = 2000

export class Desk {
  readonly store = createStore<DeskState>()(blank)
  /** Counts changes by events; what an answer may overwrite is decided by it. */
  private clock = 0
  private touched = new Map<string, number>()
  private filling = new Set<string>()
  /** What events say of a thread while pages of it are on their way: an answer may be older than they are. */
  private heard = new Map<string, Set<EventRecord['event'][]>>()
  /** Counts that events told of since they were last asked for. */
  private counted = new Set<string>()
  private opened: string | undefined
  private ended = false

  private readonly outbox: Outbox

  constructor(private readonly ports: DeskPorts) {
    this.outbox = new Outbox({
      hub: ports.hub,
      now: ports.now,
      after: ports.after,
      key: ports.key,
      pending: () => this.state.pending,
      put: (pending) => this.putPending(pending),
      sent: (one, message) => this.sent(one, message),
    })
  }

  get state(): DeskState {
    return this.store.getState()
  }

  private set(part: Partial<DeskState>): void {
    if (!this.ended) this.store.setState(part)
  }

  end(): void {
    this.ended = true
    this.outbox.end()
  }

  setLink(link: Link): void {
    const was = this.state.link.state
    this.set({ link })
    if (link.state === 'live' && was !== 'live') this.outbox.sendAll()
  }

  // ---- frames ----

  /** A batch of the socket's frames, in their order: one change of the state. */
  deliver(frames: readonly ServerFrame[]): void {
    const draft = new Draft(this.state, this.ports.me)
    const gaps = new Set<string>()
    for (const frame of frames) {
      if (frame.op === 'ev') this.event(frame.d, draft, gaps)
      else if (frame.op === 'gone') this.gone(frame.conversation_id, draft)
      else if (frame.op === 'kpi') draft.board = frame.d
      else if (frame.op === 'presence') for (const one of frame.d) draft.presence().set(one.user_id, one)
      else if (frame.op === 'eph') this.hint(frame, draft)
    }
    const before = this.state.pending
    this.set(draft.changes())
    if (this.state.pending !== before) this.ports.keep(this.state.pending)
    for (const id of gaps) void this.fill(id)
    if (!this.ports.happened) return
    for (const frame of frames) if (frame.op === 'ev') this.ports.happened(frame.d)
  }

  private deskEvent(event: EventRecord['event'], draft: Draft): void {
    if (event.type === 'counts_changed') {
      draft.counts(event.views)
      for (const key of Object.keys(event.views)) this.counted.add(key)
    } else if (event.type === 'notification_added') draft.notice({ ...event.notification, read: false }, event.unread)
    else if (event.type === 'notifications_read') draft.noticesRead(event.read_up_to, event.read ?? [], event.unread)
    else if (event.type === 'setting_changed') this.ports.setting?.(event.change.kind)
  }

  private event(record: EventRecord, draft: Draft, gaps: Set<string>): void {
    const { event, conversation } = record
    if (event.type === 'agent_presence_changed') draft.presence().set(event.user_id, event)
    this.deskEvent(event, draft)
    if (!conversation) return
    this.clock += 1
    this.touched.set(conversation.id, this.clock)
    draft.upsert(conversation, this.opened)
    for (const one of this.heard.get(conversation.id) ?? []) if (one.length < HEARD) one.push(event)
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
    // Whoever looks at it is told, instead of being left with nothing.
    if (id === this.opened) draft.thread(id, { state: 'failed', error: new Failure('not_found', 'it is out of sight') })
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
    const known = this.state.lists[viewKey(view)]
    this.putList({ view, ids: known?.ids ?? [], next: known?.next, state: 'loading' })
    await this.listPage(view, undefined)
  }

  async more(view: View): Promise<void> {
    const list = this.state.lists[viewKey(view)]
    if (!list?.next || list.state === 'loading') return
    this.putList({ ...list, state: 'loading' })
    await this.listPage(view, list.next)
  }

  private async listPage(view: View, cursor: string | undefined): Promise<void> {
    const asked = this.clock
    try {
      this.takePage(view, await this.ports.hub.list(view, cursor), asked, cursor === undefined)
    } catch (error) {
      const now = this.state.lists[viewKey(view)]
      if (now) this.putList({ ...now, state: 'failed', error: failure(error) })
    }
  }

  private putList(list: List): void {
    const key = viewKey(list.view)
    const all = { ...this.state.lists, [key]: list }
    const oldest = Object.keys(all).find((other) => other !== key)
    if (oldest && Object.keys(all).length > LISTS) delete all[oldest]
    this.set({ lists: all })
  }

  private takePage(view: View, page: { items: Conversation[]; next?: string }, asked: number, fresh: boolean): void {
    const draft = new Draft(this.state, this.ports.me)
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
    draft.list(key, { view, ids: shown, state: 'ready', ...(page.next ? { next: page.next } : {}) })
    this.set(draft.changes())
  }

  /** An answer's conversation, unless an event that came since knows better. */
  private merge(conversation: Conversation, asked: number, draft: Draft): void {
    const at = this.touched.get(conversation.id) ?? -1
    if (at <= asked) draft.upsert(conversation, this.opened)
  }

  private take(conversation: Conversation, asked: number): void {
    const draft = new Draft(this.state, this.ports.me)
    this.merge(conversation, asked, draft)
    this.set(draft.changes())
  }

  // ---- counts and notices ----

  /** Asks for what the topic `desk` changes from here on. */
  async loadDesk(): Promise<void> {
    this.counted.clear()
    const quiet = () => undefined
    const [counts] = await Promise.all([this.ports.hub.counts().catch(quiet), this.loadNotices().catch(quiet)])
    if (!counts) return
    const known = this.state.counts ?? {}
    const newer = [...this.counted].map((key) => [key, known[key] ?? 0] as const)
    this.set({ counts: { ...counts.views, ...Object.fromEntries(newer) } })
    this.putNotices({ unread: counts.notifications })
  }

  private putNotices(part: Partial<DeskState['notices']>): void {
    this.set({ notices: { ...this.state.notices, ...part } })
  }

  async loadNotices(): Promise<void> {
    try {
      const page = await this.ports.hub.notices(undefined)
      const come = this.state.notices.items.filter((one) => one.number > (page.items[0]?.number ?? 0))
      this.putNotices({ items: [...come, ...page.items], state: 'ready', next: page.next })
    } catch (error) {
      this.putNotices({ state: 'failed' })
      throw error
    }
  }

  async moreNotices(): Promise<void> {
    const { next } = this.state.notices
    if (!next) return
    this.putNotices({ next: undefined })
    const page = await this.ports.hub.notices(next)
    const known = new Set(this.state.notices.items.map((one) => one.number))
    const items = [...this.state.notices.items, ...page.items.filter((one) => !known.has(one.number))]
    this.putNotices({ items, next: page.next })
  }

  async readNotices(which: { up_to?: number; numbers?: number[] }): Promise<void> {
    const { unread: left } = await this.ports.hub.noticesRead(which)
    const draft = new Draft(this.state, this.ports.me)
    draft.noticesRead(which.up_to ?? 0, which.numbers ?? [], left)
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
      const page = await this.messages(id, from, PAGE)
      const thread = this.state.threads.get(id)
      if (!thread) return
      const base = thread.state === 'ready' ? thread.window : EMPTY
      const newest = Math.max(base.newest, end, this.state.conversations.get(id)?.last_seq ?? 0)
      const joined = join({ ...base, newest }, page, 'end')
      this.putThread(id, { window: joined, state: 'ready', error: undefined })
      await this.fill(id)
    } catch (error) {
      if (this.state.threads.get(id)?.state !== 'ready') this.putThread(id, { state: 'failed', error: failure(error) })
    }
  }

  /** A page of a thread, with what events have said of it since it was asked for. */
  private async messages(id: string, afterSeq: number, limit: number): Promise<Message[]> {
    const heard: EventRecord['event'][] = []
    const all = this.heard.get(id) ?? new Set()
    this.heard.set(id, all.add(heard))
    try {
      const page = await this.ports.hub.messages(id, afterSeq, limit)
      const window = heard.reduce(
        (known, event) =>
          event.type === 'message_added' ? added(known, event.message, true).window : changed(known, event),
        { messages: page, newest: 0 },
      )
      return window.messages
    } finally {
      all.delete(heard)
      if (all.size === 0) this.heard.delete(id)
    }
  }

  private putThread(id: string, part: Partial<Thread>): void {
    const draft = new Draft(this.state, this.ports.me)
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
        const page = await this.messages(id, last(thread.window), PAGE)
        const now = this.state.threads.get(id)
        if (!now || page.length === 0) return
        for (const message of page) if (message.client_key) this.outbox.settle(message.client_key)
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
      const page = await this.messages(id, want.after_seq, want.limit)
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
      const page = await this.messages(id, from, PAGE)
      const now = this.state.threads.get(id)
      if (now) this.putThread(id, { window: join(now.window, page, 'end') })
    } catch (error) {
      this.putThread(id, { error: failure(error) })
    }
  }

  /** Brings a message into the window, with some of what stands before and after it. */
  async show(id: string, seq: number): Promise<void> {
    const thread = this.state.threads.get(id)
    if (!thread || (seq >= first(thread.window) && seq <= last(thread.window))) return
    const page = await this.messages(id, Math.max(0, seq - PAGE / 2), PAGE)
    const now = this.state.threads.get(id)
    if (now) this.putThread(id, { window: join(now.window, page, 'start'), following: false })
  }

  follow(id: string, following: boolean): void {
    if (this.state.threads.get(id)?.following !== following) this.putThread(id, { following })
  }

  // ---- wishes ----

  /** Shows a change at once; a refusal takes it back and is thrown. */
  async change(id: string, change: ConversationChange): Promise<void> {
    await this.wish(id, change, () => this.ports.hub.change(id, change))
  }

  async label(id: string, change: LabelsChange): Promise<void> {
    const labels = new Set(this.state.conversations.get(id)?.labels)
    for (const name of change.add ?? []) labels.add(name)
    for (const name of change.remove ?? []) labels.delete(name)
    await this.wish(id, { labels: [...labels].sort() }, () => this.ports.hub.labels(id, change))
  }

  private async wish(id: string, shown: Partial<Conversation>, ask: () => Promise<Conversation>): Promise<void> {
    const before = this.state.conversations.get(id)
    const asked = this.clock
    if (before) this.take({ ...before, ...shown }, asked)
    try {
      this.take(await ask(), asked)
    } catch (error) {
      if (before) this.take(before, asked)
      throw error
    }
  }

  /** Changes many; resolves with those that were refused. */
  async bulk(ids: readonly string[], change: ConversationChange & { labels?: LabelsChange }): Promise<Outcome[]> {
    const refused: Outcome[] = []
    for (let from = 0; from < ids.length; from += BULK) {
      const asked = this.clock
      const items = await this.ports.hub.bulk(ids.slice(from, from + BULK), change)
      const draft = new Draft(this.state, this.ports.me)
      for (const item of items) {
        if (item.conversation) this.merge(item.conversation, asked, draft)
        else refused.push(item)
      }
      this.set(draft.changes())
    }
    return refused
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

  send(id: string, kind: Pending['kind'], text: string, more?: Carried): void {
    this.outbox.send(id, kind, text, more)
  }

  /** What an earlier visit left unsent. */
  resumeSends(pending: readonly Pending[]): void {
    this.outbox.resume(pending)
  }

  retryPending(key: string): void {
    this.outbox.retry(key)
  }

  dropPending(key: string): void {
    this.outbox.settle(key)
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

  private sent(one: Pending, message: Message): void {
    const thread = this.state.threads.get(one.conversation_id)
    const draft = new Draft(this.state, this.ports.me)
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
