/** The parts of the settings: what each is called, who may see it, where it stands. A later part is one more entry here. */
import {
  Building2,
  Cable,
  CircleUser,
  Clock,
  KeyRound,
  type LucideIcon,
  MailWarning,
  MessageSquareQuote,
  Tags,
  Users,
  UsersRound,
} from 'lucide-react'
import type { MessageId } from '../../i18n'
import type { Right } from './rights'

export type SectionId =
  | 'account'
  | 'workspace'
  | 'hours'
  | 'members'
  | 'teams'
  | 'channels'
  | 'labels'
  | 'replies'
  | 'tokens'
  | 'dead-letters'

export type GroupId = 'you' | 'workspace' | 'conversations' | 'developers'

export interface Section {
  id: SectionId
  group: GroupId
  right: Right
  icon: LucideIcon
  title: MessageId
  lead: MessageId
}

export const GROUPS: readonly { id: GroupId; title: MessageId }[] = [
  { id: 'you', title: 'settings.group.you' },
  { id: 'workspace', title: 'settings.group.workspace' },
  { id: 'conversations', title: 'settings.group.conversations' },
  { id: 'developers', title: 'settings.group.developers' },
]

const of = (
  id: SectionId,
  group: GroupId,
  right: Right,
  icon: LucideIcon,
  title: MessageId,
  lead: MessageId,
): Section => ({
  id,
  group,
  right,
  icon,
  title,
  lead,
})

export const SECTIONS: readonly Section[] = [
  of('account', 'you', 'own', CircleUser, 'settings.account.title', 'settings.account.lead'),
  of('workspace', 'workspace', 'readWorkspace', Building2, 'settings.workspace.title', 'settings.workspace.lead'),
  of('members', 'workspace', 'readMembers', Users, 'settings.members.title', 'settings.members.lead'),
  of('teams', 'workspace', 'readMembers', UsersRound, 'settings.teams.title', 'settings.teams.lead'),
  of('hours', 'workspace', 'readWorkspace', Clock, 'settings.hours.title', 'settings.hours.lead'),
  of('channels', 'conversations', 'readChannels', Cable, 'settings.channels.title', 'settings.channels.lead'),
  of('labels', 'conversations', 'readLabels', Tags, 'settings.labels.title', 'settings.labels.lead'),
  of('replies', 'conversations', 'readChannels', MessageSquareQuote, 'settings.replies.title', 'settings.replies.lead'),
  of('tokens', 'developers', 'manageTokens', KeyRound, 'settings.tokens.title', 'settings.tokens.lead'),
  of(
    'dead-letters',
    'developers',
    'deadLetters',
    MailWarning,
    'settings.deadLetters.title',
    'settings.deadLetters.lead',
  ),
]
