/** A change of the desk's state under way: each part is copied at most once, however many frames change it. */
import type { Conversation, KpiBoard, Notification, Presence } from '../api/types'
import type { DeskState, List, Notices, Thread } from './state'
import { belongs, order } from './view'
import { EMPTY } from './window'

/** The most notices that are kept in memory. */
const NOTICES = 200

export class Draft {
  private maps: {
    conversations?: Map<string, Conversation>
    threads?: Map<string, Thread>
    presence?: Map<string, Presence>
  } = {}
  private parts: Partial<DeskState> = {}
  private copied = new Set<string>()
  board: KpiBoard | undefined

  constructor(
    private readonly base: DeskState,
    private readonly me: string,
  ) {}

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

  /** The ids of a list, to be changed in place. */
  private idsOf(key: string): string[] {
    const list = this.lists[key]
    if (!list) return []
    if (this.copied.has(key)) return list.ids
    this.copied.add(key)
    const ids = list.ids.slice()
    this.parts.lists = { ...this.lists, [key]: { ...list, ids } }
    return ids
  }

  /** A conversation as it is now; `opened` stays in a list of unread ones while it is read. */
  upsert(conversation: Conversation, opened: string | undefined): void {
    const conversations = this.maps.conversations ?? new Map(this.base.conversations)
    this.maps.conversations = conversations
    const before = conversations.get(conversation.id)
    for (const [key, list] of Object.entries(this.lists)) {
      const was = before ? place(list.ids, before, conversations) : list.ids.indexOf(conversation.id)
      const { unread: onlyUnread, ...rest } = list.view
      const kept = was >= 0 && onlyUnread && conversation.id === opened && belongs(conversation, rest, this.me)
      const belonging = kept || belongs(conversation, list.view, this.me)
      if (was < 0 && !belonging) continue
      const ids = this.idsOf(key)
      if (was >= 0) ids.splice(was, 1)
      if (!belonging) continue
      const to = search(ids, conversation, conversations)
      // Below the last loaded one it comes with a later page.
      if (to < ids.length || !list.next || was >= 0) ids.splice(to, 0, conversation.id)
    }
    conversations.set(conversation.id, conversation)
  }

  remove(id: string): void {
    for (const [key, list] of Object.entries(this.lists)) {
      const was = list.ids.indexOf(id)
      if (was >= 0) this.idsOf(key).splice(was, 1)
    }
    this.maps.conversations ??= new Map(this.base.conversations)
    this.maps.conversations.delete(id)
    this.dropThread(id)
  }

  list(key: string, list: List): void {
    this.copied.delete(key)
    this.parts.lists = { ...this.lists, [key]: list }
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

  counts(changed: Readonly<Record<string, number>>): void {
    this.parts.counts = { ...(this.parts.counts ?? this.base.counts), ...changed }
  }

  private notices(part: Partial<Notices>): void {
    this.parts.notices = { ...(this.parts.notices ?? this.base.notices), ...part }
  }

  notice(one: Notification, unread: number): void {
    const { items } = this.parts.notices ?? this.base.notices
    const known = items.some((other) => other.number === one.number)
    this.notices({ items: known ? items : [one, ...items].slice(0, NOTICES), unread })
  }

  noticesRead(upTo: number, numbers: readonly number[], unread: number): void {
    const { items } = this.parts.notices ?? this.base.notices
    const read = new Set(numbers)
    const now = items.map((one) =>
      (one.read || one.number > upTo) && !read.has(one.number) ? one : { ...one, read: true },
    )
    this.notices({ items: now, unread })
  }
}

/** Where a conversation stands in a sorted list; -1 if it does not. */
function place(ids: readonly string[], one: Conversation, all: ReadonlyMap<string, Conversation>): number {
  const at = search(ids, one, all)
  return ids[at] === one.id ? at : ids.indexOf(one.id)
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
