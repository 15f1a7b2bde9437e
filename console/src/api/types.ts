import type { components } from './schema'

type Schemas = components['schemas']

export type Agent = Schemas['Agent']
export type Attachment = Schemas['Attachment']
export type Conversation = Schemas['Conversation'] & { team?: string | null }
export type Contact = Schemas['Contact']
export type EventRecord = Schemas['EventRecord']
export type KpiBoard = Schemas['KpiBoard']
export type KpiValue = Schemas['KpiValue']
export type Label = Schemas['Label']
export type Me = Schemas['Me']
export type Message = Schemas['Message']
export type Presence = Schemas['Presence']
export type Priority = Schemas['Priority']
export type Problem = Schemas['Problem']
export type ServerFrame = Schemas['ServerFrame']
export type ClientFrame = Schemas['ClientFrame']
export type Status = Schemas['Status']
export type Tokens = Schemas['Tokens']
export type Medium = Schemas['Medium']
export type Channel = Schemas['ChannelView']
export type {
  BulkItem,
  CannedReply,
  Counts,
  DeskEvent,
  Filters,
  Found,
  Notification,
  PageOf,
  SavedView,
  Team,
} from './soon'
