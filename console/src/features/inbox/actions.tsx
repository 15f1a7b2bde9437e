/** What is done with conversations, one or many: by a button, a key, the palette. */
import { AlarmClock, CalendarClock, CircleUser, MessageCircleReply, Tag, UserMinus, Users } from 'lucide-react'
import type { Agent, Conversation, Priority, Status } from '../../api/types'
import { live, useDesk } from '../../app/live'
import { askAgain, useAgents, useLabels, useTeams } from '../../app/people'
import { type PickItem, pick } from '../../app/pick'
import { toast, toastFailure } from '../../app/toasts'
import { t } from '../../i18n'
import { isolated, moment } from '../../i18n/format'
import type { ConversationChange, LabelsChange } from '../../live/ports'
import { PRIORITIES } from '../../live/view'
import { LabelDot, PriorityIcon } from './bits'
import { parseMoment, snoozes } from './snooze'

export type Wish = ConversationChange & { labels?: LabelsChange }

/** What takes a wish back. */
function backwards(before: Conversation, wish: Wish): Wish {
  const { status, assignee = null, team = null, priority = 'normal', snoozed_until: until } = before
  return {
    ...('status' in wish ? { status, ...(status === 'snoozed' && until ? { snoozed_until: until } : {}) } : {}),
    ...('assignee' in wish ? { assignee } : {}),
    ...('team' in wish ? { team } : {}),
    ...('priority' in wish ? { priority } : {}),
  }
}

async function one(id: string, { labels, ...change }: Wish): Promise<void> {
  const { desk } = live()
  if (Object.keys(change).length > 0) await desk.change(id, change)
  if (labels) await desk.label(id, labels)
}

/** Changes conversations, and says so: with a way back, and what was refused. */
export async function carryOut(ids: readonly string[], wish: Wish, said?: string): Promise<void> {
  const { desk } = live()
  const before = ids.flatMap((id) => desk.state.conversations.get(id) ?? [])
  try {
    const [only] = ids
    const refused = ids.length === 1 && only ? await one(only, wish).then(() => []) : await desk.bulk(ids, wish)
    const done = ids.length - refused.length
    if (refused[0]) {
      const why = t(`error.${refused[0].error?.code ?? 'internal'}` as 'error.internal')
      toast({
        text: `${t('bulk.done', { count: done })} ${t('bulk.refused', { count: refused.length })} ${why}`,
        bad: true,
      })
    } else if (said) {
      const undo = () => {
        for (const old of before) one(old.id, backwards(old, wish)).catch(toastFailure)
      }
      const text = ids.length > 1 ? `${said} (${t('bulk.done', { count: done })})` : said
      toast({ text, ...(wish.labels ? {} : { action: { label: t('action.undo'), run: undo } }) })
    }
  } catch (error) {
    toastFailure(error)
  }
}

export function setStatus(ids: readonly string[], status: Status): void {
  void carryOut(ids, { status }, t(`did.${status}`))
}

export function assignTo(ids: readonly string[], assignee: string | null): void {
  void carryOut(ids, { assignee }, t(assignee ? 'did.assigned' : 'did.released'))
}

const DOT = { online: 'bg-brand', busy: 'bg-danger', away: 'bg-warn' }

function AgentDot({ agent }: { agent: Agent }) {
  const presence = useDesk((state) => state.presence.get(agent.user_id))
  const connected = presence?.connected ?? agent.connected
  const availability = presence?.availability ?? agent.availability ?? 'online'
  return <span className={`size-2 rounded-full ${connected ? DOT[availability] : 'bg-line-strong'}`} />
}

/** Chooses who handles them: a colleague, a team, nobody. */
export function pickAssignee(ids: readonly string[]): void {
  const { me } = live()
  const useItems = (): PickItem[] => {
    const agents = [...useAgents().values()].filter((agent) => agent.active && agent.role !== 'analyst')
    const teams = [...useTeams().values()]
    const held = useDesk((state) => (ids.length === 1 ? state.conversations.get(ids[0] ?? '') : undefined))
    const own = agents.filter((agent) => agent.user_id === me.user_id)
    const others = agents.filter((agent) => agent.user_id !== me.user_id)
    return [
      ...[...own, ...others].map((agent) => ({
        id: agent.user_id,
        title: agent.user_id === me.user_id ? `${agent.name} (${t('panel.you')})` : agent.name,
        hint: t('assign.load', { count: agent.open_conversations ?? 0, capacity: agent.capacity }),
        group: t('assign.people'),
        icon: <AgentDot agent={agent} />,
        checked: held?.assignee === agent.user_id,
        run: () => assignTo(ids, agent.user_id),
      })),
      ...teams.map((team) => ({
        id: team.id,
        title: team.name,
        hint: t('assign.members', { count: team.members?.length ?? 0 }),
        group: t('assign.teams'),
        icon: <Users size={15} aria-hidden />,
        checked: held?.team === team.id,
        run: () => void carryOut(ids, { team: team.id }, t('did.team', { team: isolated(team.name) })),
      })),
      {
        id: 'nobody',
        title: t('assign.nobody'),
        group: t('assign.people'),
        icon: <UserMinus size={15} aria-hidden />,
        run: () => assignTo(ids, null),
      },
      ...(held?.team
        ? [
            {
              id: 'noTeam',
              title: t('assign.noTeam'),
              group: t('assign.teams'),
              icon: <CircleUser size={15} aria-hidden />,
              run: () => void carryOut(ids, { team: null }, t('did.noTeam')),
            },
          ]
        : []),
    ]
  }
  askAgain('agents')
  pick({ title: t('assign.title'), placeholder: t('assign.placeholder'), useItems })
}

export function pickLabels(ids: readonly string[]): void {
  const useItems = (): PickItem[] => {
    const labels = useLabels()
    const conversations = useDesk((state) => state.conversations)
    const all = ids.flatMap((id) => conversations.get(id) ?? [])
    // What was removed from the workspace's labels can still be taken off.
    const names = new Set([...labels.keys(), ...all.flatMap((held) => held.labels ?? [])])
    return [...names].map((name) => {
      const on = all.length > 0 && all.every((held) => held.labels?.includes(name))
      return {
        id: name,
        title: name,
        icon: labels.has(name) ? <LabelDot color={labels.get(name)?.color} /> : <Tag size={14} aria-hidden />,
        checked: on,
        run: () => void carryOut(ids, { labels: on ? { remove: [name] } : { add: [name] } }),
      }
    })
  }
  pick({ title: t('label.title'), placeholder: t('label.placeholder'), useItems, many: true })
}

export function pickPriority(ids: readonly string[]): void {
  const useItems = (): PickItem[] => {
    const now = useDesk((state) => (ids.length === 1 ? state.conversations.get(ids[0] ?? '')?.priority : undefined))
    return PRIORITIES.map((priority: Priority) => ({
      id: priority,
      title: t(`priority.${priority}`),
      icon: <PriorityIcon priority={priority} />,
      checked: ids.length === 1 && (now ?? 'normal') === priority,
      run: () => void carryOut(ids, { priority }, t('did.priority', { priority: t(`priority.${priority}`) })),
    }))
  }
  pick({ title: t('panel.priority'), placeholder: t('palette.filter'), useItems })
}

export function snooze(ids: readonly string[], until: Date | undefined): void {
  const wish: Wish = { status: 'snoozed', ...(until ? { snoozed_until: until.toISOString() } : {}) }
  void carryOut(ids, wish, until ? t('did.snoozedUntil', { time: moment(until.getTime()) }) : t('did.snoozed'))
}

export function pickSnooze(ids: readonly string[]): void {
  const fixed: PickItem[] = [
    {
      id: 'reply',
      title: t('snooze.reply'),
      icon: <MessageCircleReply size={15} aria-hidden />,
      run: () => snooze(ids, undefined),
    },
    ...snoozes(new Date()).map(({ id, until }) => ({
      id,
      title: t(`snooze.${id}`),
      hint: moment(until.getTime()),
      icon: <AlarmClock size={15} aria-hidden />,
      run: () => snooze(ids, until),
    })),
  ]
  // `2h`, `3d`, `17:30`: a moment that somebody writes.
  const search = async (words: string): Promise<PickItem[]> => {
    const until = parseMoment(words, new Date())
    if (!until) return []
    const title = t('thread.snoozedUntil', { time: moment(until.getTime()) })
    return [{ id: 'written', title, icon: <CalendarClock size={15} aria-hidden />, run: () => snooze(ids, until) }]
  }
  pick({ title: t('action.snooze'), placeholder: t('snooze.placeholder'), useItems: () => fixed, search })
}
