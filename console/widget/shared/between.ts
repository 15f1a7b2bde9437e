/**
 * What the script on the customer's page and the frame with the chat tell each other. They speak over a port that the script
 * makes and gives to its frame alone, so no other page or frame can join in.
 */
import type { components } from '../../src/api/schema'

type Schemas = components['schemas']

export type Settings = Schemas['WidgetSettings']
export type AskedField = Schemas['AskedField']
export type VisitorMessage = Schemas['VisitorMessage']
export type Attachment = Schemas['Attachment']
export type UploadedFile = Schemas['UploadedFile']
export type ServerFrame = Schemas['VisitorServerFrame']
export type ClientFrame = Schemas['VisitorClientFrame']

export type Language = 'ar' | 'en'

/** What a visitor tells of themselves before the first message. */
export type Told = Partial<Record<'name' | 'email' | 'phone', string>>

/** How the chat looks, decided by the channel's settings and the attributes of the page's script tag. */
export interface Look {
  language: Language
  theme: 'auto' | 'light' | 'dark'
  color: string | undefined
  title: string | undefined
  greeting: string | undefined
  ask: AskedField[]
}

export type Link =
  /** Nobody has asked for a connection yet. */
  | 'idle'
  | 'connecting'
  | 'live'
  /** No connection; it is tried again. */
  | 'offline'
  /** The page's word for who the visitor is was refused. */
  | 'unknown_visitor'
  /** The hub refuses this widget. */
  | 'refused'

export interface Shown {
  /** The same for a message from the moment that it is written, whatever comes of it. */
  id: string
  from: 'visitor' | 'agent' | 'bot'
  text: string
  attachments: Attachment[]
  at: string
  /** How far a message of the visitor has come. */
  state?: 'waiting' | 'sent' | 'failed'
}

/** Everything that the frame shows. */
export interface Talk {
  link: Link
  /** The form comes before the first message. */
  asks: boolean
  messages: Shown[]
  typing: boolean
  /** Whether there may be messages before the first that is shown. */
  earlier: 'none' | 'some' | 'loading'
}

export type ToFrame = { what: 'look'; look: Look } | { what: 'talk'; talk: Talk } | { what: 'opened' }

export type FromFrame =
  | { what: 'begin'; told: Told }
  | { what: 'send'; text: string }
  | { what: 'attach'; files: File[] }
  | { what: 'again'; id: string }
  | { what: 'typing' }
  | { what: 'earlier' }
  | { what: 'close' }

/** The most characters of a message. */
export const MOST_CHARACTERS = 10_000
