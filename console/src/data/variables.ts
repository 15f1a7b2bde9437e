/** What a canned reply can name. */
export const VARIABLES = [
  'contact.name',
  'contact.first_name',
  'contact.phone',
  'contact.email',
  'agent.name',
  'agent.first_name',
  'channel.name',
  'workspace.name',
] as const
export type Variable = (typeof VARIABLES)[number]
