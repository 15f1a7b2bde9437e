/** Views of the inbox: which conversations a list shows, what its address is, where its count stands. Pure. */
import type { Conversation, Priority, Status } from '../api/types'

/** A list's conversations: every given condition holds. */
export interface View {
  /** `me`, `none`, `all` or the id of a person. */
  assignee: string
  status: Status
  /** Those in which the reader was mentioned, whoever has them. */
  mentioned?: true
  /** A team's id, or `none`. */
  team?: string
  channel?: string
  label?: string
  priority?: Priority
  unread?: true
}

/** What an inbox address says after `?`. */
export interface InboxSearch {
  view?: 'me' | 'none' | 'all' | 'mentions'
  assignee?: string
  status?: Status
  team?: string
  channel?: string
  label?: string
  priority?: Priority
  unread?: true
  /** Words that are searched for. */
  q?: string
  /** The number of the message that is shown. */
  at?: number
}

export const STATUSES: readonly Status[] = ['open', 'pending', 'snoozed', 'resolved']
export const PRIORITIES: readonly Priority[] = ['urgent', 'high', 'normal', 'low']
const VIEWS = ['me', 'none', 'all', 'mentions'] as const
/** The longest text of an address that is taken for a name or an id. */
const LONGEST = 200

function one<T extends string>(raw: unknown, of: readonly T[]): T | undefined {
  return of.find((known) => known === raw)
}

function text(raw: unknown): string | undefined {
  const found = typeof raw === 'number' ? String(raw) : raw
  return typeof found === 'string' && found !== '' && found.length <= LONGEST ? found : undefined
}

/** An address's words, without what is not understood. */
export function inboxSearch(raw: Record<string, unknown>): InboxSearch {
  const found: InboxSearch = {
    view: one(raw.view, VIEWS),
    assignee: text(raw.assignee),
    status: one(raw.status, STATUSES),
    team: text(raw.team),
    channel: text(raw.channel),
    label: text(raw.label),
    priority: one(raw.priority, PRIORITIES),
    ...(raw.unread === true || raw.unread === 'true' ? { unread: true as const } : {}),
    q: text(raw.q),
    at: Number.isInteger(Number(raw.at)) && Number(raw.at) > 0 ? Number(raw.at) : undefined,
  }
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)) as InboxSearch
}

/** The view that an address asks for; `otherwise` is whose conversations somebody begins with. */
export function viewOf(search: InboxSearch, otherwise: 'me' | 'all'): View {
  const { view, assignee, status = 'open', team, channel, label, priority, unread } = search
  return {
    assignee: assignee ?? (view === 'mentions' ? 'all' : (view ?? otherwise)),
    status,
    ...(view === 'mentions' ? { mentioned: true as const } : {}),
    ...(team ? { team } : {}),
    ...(channel ? { channel } : {}),
    ...(label ? { label } : {}),
    ...(priority ? { priority } : {}),
    ...(unread ? { unread } : {}),
  }
}

const NARROWING = ['mentioned', 'team', 'channel', 'label', 'priority', 'unread'] as const

export function viewKey(view: View): string {
  const parts = NARROWING.filter((name) => view[name] !== undefined).map((name) => `${name}=${view[name]}`)
  return [`${view.assignee}/${view.status}`, ...parts].join('&')
}

/** The parameters of the hub's list. */
export function parameters(view: View): Record<string, string | boolean> {
  const { assignee, mentioned, ...rest } = view
  return mentioned ? { ...rest, mentioned } : { ...rest, assignee }
}

/** The name of a view's count at the hub; nothing where it keeps none. */
export function countKey(view: View, me: string): string | undefined {
  const narrowed = NARROWING.filter((name) => view[name] !== undefined)
  const { assignee, status } = view
  if (narrowed.length === 0) return `${status}/${assignee === 'me' ? me : assignee}`
  if (narrowed.length > 1 || assignee !== 'all' || status === 'resolved') return undefined
  if (view.mentioned) return `${status}/mentioned:${me}`
  if (view.team && view.team !== 'none') return `${status}/team:${view.team}`
  if (view.channel) return `${status}/channel:${view.channel}`
  return view.label ? `${status}/label:${view.label}` : undefined
}

/** How many of the contact's messages somebody has not seen. */
export const unread = (conversation: Conversation, user: string): number =>
  Math.max(0, (conversation.inbound_count ?? 0) - (conversation.reads?.[user] ?? 0))

function held(conversation: Conversation, assignee: string, me: string): boolean {
  if (assignee === 'all') return true
  if (assignee === 'none') return !conversation.assignee
  return conversation.assignee === (assignee === 'me' ? me : assignee)
}

/** Whether a conversation is in a view. */
export function belongs(conversation: Conversation, view: View, me: string): boolean {
  if (conversation.status !== view.status) return false
  if (view.mentioned) {
    if (!conversation.participants?.includes(me)) return false
  } else if (!held(conversation, view.assignee, me)) return false
  if (view.team && (conversation.team ?? 'none') !== view.team) return false
  if (view.channel && conversation.channel_id !== view.channel) return false
  if (view.label && !conversation.labels?.includes(view.label)) return false
  if (view.priority && (conversation.priority ?? 'normal') !== view.priority) return false
  return !view.unread || unread(conversation, me) > 0
}

/** Newest activity first; ids break ties, as the hub does. */
export function order(a: Conversation | undefined, b: Conversation | undefined): number {
  if (!a || !b) return a ? -1 : b ? 1 : 0
  if (a.last_activity_at !== b.last_activity_at) return a.last_activity_at < b.last_activity_at ? 1 : -1
  return a.id < b.id ? 1 : -1
}
