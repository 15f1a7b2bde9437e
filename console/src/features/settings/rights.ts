/** Who may do what, as the hub decides it; here only so that a page does not offer what would be refused. */
import type { Me } from '../../api/types'

export type Role = Me['role']
export const ROLES: readonly Role[] = ['owner', 'admin', 'manager', 'agent', 'analyst']

export type Right =
  | 'own'
  | 'readWorkspace'
  | 'manageWorkspace'
  | 'readMembers'
  | 'manageMembers'
  | 'readChannels'
  | 'manageChannels'
  | 'manageTokens'
  | 'readLabels'
  | 'manageLabels'
  | 'deadLetters'
  | 'writeConversations'

const TABLE: Record<Right, readonly Role[]> = {
  own: ROLES,
  readWorkspace: ROLES,
  manageWorkspace: ['owner'],
  readMembers: ROLES,
  manageMembers: ['owner', 'admin'],
  readChannels: ['owner', 'admin', 'manager', 'agent'],
  manageChannels: ['owner', 'admin'],
  manageTokens: ['owner', 'admin'],
  readLabels: ROLES,
  manageLabels: ['owner', 'admin', 'manager'],
  deadLetters: ['owner', 'admin', 'manager'],
  writeConversations: ['owner', 'admin', 'manager', 'agent'],
}

export const may = (role: Role, right: Right): boolean => TABLE[right].includes(role)

const BELOW: Record<Role, readonly Role[]> = {
  owner: ROLES,
  admin: ['admin', 'manager', 'agent', 'analyst'],
  manager: ['manager', 'agent', 'analyst'],
  agent: ['agent'],
  analyst: ['analyst'],
}

/** Whether somebody may give, change or take away a role. Nobody reaches above themselves. */
export const mayGrant = (grantor: Role, grantee: Role): boolean => BELOW[grantor].includes(grantee)
