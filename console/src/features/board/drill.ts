/** The conversations behind a number, as one query. */

import type { Filters } from '../../data/kpi'
import { instant, quoted } from '../../data/sql'

/** A number that somebody wants to look behind. */
export interface Behind extends Filters {
  kpi: string
  /** Of what happened from then; absent for what is so now. */
  from?: number
  to?: number
  /** Of durations: those that took more than, and at most, this, in seconds. */
  least?: number
  most?: number
  /** What it is, in words. */
  title: string
}

/** The most conversations that are listed. */
export const LISTED = 200

const FACTS: Readonly<Record<string, string>> = {
  first_response: 'first_response',
  first_response_p50: 'first_response',
  first_response_p90: 'first_response',
  reply_time: 'reply_time',
  abandoned_wait: 'abandoned_wait',
  resolution_time: 'resolution',
  handle_time: 'handling',
  opened: 'opening',
  resolved: 'resolution',
  reopened: 'reopen',
  transferred: 'transfer',
  handed_off: 'handoff',
}

const MESSAGES: Record<string, string> = {
  messages_in: "direction = 'inbound'",
  messages_out: "direction = 'outbound'",
  messages_out_bot: "direction = 'outbound' AND author_type = 'bot'",
  notes: "direction = 'note'",
}

const NOW: Record<string, string> = {
  open: "status = 'open'",
  pending: "status = 'pending'",
  snoozed: "status = 'snoozed'",
  unassigned: "status = 'open' AND assignee_id IS NULL",
  unattended: "status = 'open' AND messages_in > 0 AND (first_reply_at IS NULL OR waiting_since IS NOT NULL)",
  waiting: "status <> 'resolved' AND waiting_since IS NOT NULL",
  oldest_wait_seconds: "status <> 'resolved' AND waiting_since IS NOT NULL",
}

/** Steps of the funnel: conversations by when they began. */
const STEPS: Record<string, string> = {
  began: 'true',
  answered: 'c.first_reply_at IS NOT NULL',
  closed: 'c.first_reply_at IS NOT NULL AND c.resolved_at IS NOT NULL',
}

/** Of deliveries: messages that have come so far. One that failed and was sent again is among those that failed, too. */
const STATUSES: Record<string, string> = {
  delivery_rate: "status IN ('delivered', 'read')",
  read_rate: "status = 'read'",
  failure_rate: "status = 'failed'",
}

const own = (all: Readonly<Record<string, string>>, name: string): string | undefined =>
  Object.hasOwn(all, name) ? all[name] : undefined

const CONVERSATION =
  'c.conversation_id, c.contact_name, c.contact_address, c.status, c.assignee_id, c.channel_id, c.last_activity_at'

function times(column: string, what: Behind): string[] {
  return [
    ...(what.from === undefined ? [] : [`${column} >= ${instant(what.from)}`]),
    ...(what.to === undefined ? [] : [`${column} < ${instant(what.to)}`]),
  ]
}

function filters(what: Filters, agent: string, alias: string, label = true): string[] {
  return [
    ...(what.channel ? [`${alias}channel_id = ${quoted(what.channel)}`] : []),
    ...(what.agent ? [`${agent} = ${quoted(what.agent)}`] : []),
    ...(what.label && label ? [`array_has(${alias}labels, ${quoted(what.label)})`] : []),
  ]
}

const where = (conditions: readonly string[]): string =>
  conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}\n` : ''

/** Joins what was counted to its conversations; most of it first. */
const joined = (table: string, value: string, conditions: readonly string[]): string =>
  `WITH counted AS (
  SELECT conversation_id, ${value} AS amount
  FROM ${table}
  ${where(conditions)}  GROUP BY conversation_id
)
SELECT ${CONVERSATION}, counted.amount
FROM counted JOIN conversations c ON c.conversation_id = counted.conversation_id
ORDER BY counted.amount DESC, c.last_activity_at DESC
LIMIT ${LISTED}`

/** The query; nothing for a number that no conversations stand behind. */
export function behind(what: Behind): string | undefined {
  const now = own(NOW, what.kpi)
  if (now) {
    const conditions = [now, ...filters(what, 'c.assignee_id', 'c.')]
    return `SELECT ${CONVERSATION}
FROM conversations c
${where(conditions)}ORDER BY ${what.kpi === 'waiting' || what.kpi === 'oldest_wait_seconds' ? 'c.waiting_since' : 'c.last_activity_at DESC'}
LIMIT ${LISTED}`
  }
  const step = own(STEPS, what.kpi)
  if (step !== undefined) {
    const conditions = [...times('c.created_at', what), step, ...filters(what, 'c.assignee_id', 'c.')]
    return `SELECT ${CONVERSATION}
FROM conversations c
${where(conditions)}ORDER BY c.created_at DESC
LIMIT ${LISTED}`
  }
  const message = own(MESSAGES, what.kpi)
  if (message) {
    const agent = what.kpi === 'messages_in' ? 'assignee_id' : 'agent_id'
    return joined('messages', 'count(*)', [message, ...times('created_at', what), ...filters(what, agent, '')])
  }
  const status = own(STATUSES, what.kpi)
  if (status) {
    const only = what.channel ? { channel: what.channel } : {}
    return joined('deliveries', 'count(DISTINCT message_id)', [
      status,
      ...times('written_at', what),
      ...filters(only, '', ''),
    ])
  }
  const fact = own(FACTS, what.kpi)
  if (!fact) return undefined
  const range = [
    ...(what.least ? [`seconds > ${what.least}`] : []),
    ...(what.most === undefined ? [] : [`seconds <= ${what.most}`]),
  ]
  const counts = ['opened', 'resolved', 'reopened', 'transferred', 'handed_off'].includes(what.kpi)
  return joined('conversation_facts', counts ? 'count(*)' : 'max(seconds)', [
    `kind = ${quoted(fact)}`,
    ...times('end_at', what),
    ...range,
    ...filters(what, 'agent_id', ''),
  ])
}

/** How many conversations that began in a time were answered, and resolved after that. */
export function funnelSql(from: number, to: number, chosen: Filters): string {
  const conditions = [
    `created_at >= ${instant(from)}`,
    `created_at < ${instant(to)}`,
    ...filters(chosen, 'assignee_id', ''),
  ]
  return `SELECT count(*) AS began, count(first_reply_at) AS answered,
  sum(CASE WHEN first_reply_at IS NOT NULL AND resolved_at IS NOT NULL THEN 1 ELSE 0 END) AS closed
FROM conversations
${where(conditions)}`
}
