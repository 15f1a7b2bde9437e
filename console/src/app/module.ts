/**
 * What a feature tells the shell: its pages, its entries of the navigation, its commands. A feature's `routes.tsx` exports it
 * as `feature` and is part of the first load, so it holds no more than this; pages are loaded when they are opened.
 */
import type { LucideIcon } from 'lucide-react'
import type { ComponentType } from 'react'
import type { Me } from '../api/types'
import type { MessageId, Part } from '../i18n'
import type { Command } from './commands'

export interface Page {
  /** `/sql`, or below another page `$queryId`. */
  path: string
  load: () => Promise<ComponentType>
  /** What of the address after `?` the page takes; anything else is dropped. */
  search?: (raw: Record<string, unknown>) => Record<string, unknown>
  /** Shown in the `Outlet` of this page. */
  pages?: Page[]
}

export interface NavEntry {
  to: string
  label: MessageId
  icon: LucideIcon
  /** Smaller stands first: inbox 10, board 20, SQL 30, settings 90. */
  order: number
}

/** What commands may need of the shell. */
export interface CommandContext {
  me: Me
  go: (to: string, search?: Record<string, unknown>) => void
}

export interface Feature {
  /** Who may open its pages; everybody, if absent. To others the shell shows that their role does not allow it. */
  may?: (me: Me) => boolean
  /** The part of the catalogue that its pages need besides the common one; see `i18n`. */
  messages?: Part
  pages: Page[]
  nav?: NavEntry[]
  /** What the palette offers of it everywhere. A page's own commands are registered by `useCommands`. */
  commands?: (context: CommandContext) => Command[]
}
