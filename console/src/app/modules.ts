/** All features: whatever `features/<name>/routes.tsx` exports as `feature`. */
import { Inbox } from 'lucide-react'
import type { Me } from '../api/types'
import { seesInbox } from './live'
import type { Feature, NavEntry } from './module'

const found = import.meta.glob<Feature>('../features/*/routes.tsx', { eager: true, import: 'feature' })

export const features: readonly Feature[] = Object.values(found)

const inbox: NavEntry = { to: '/inbox', label: 'nav.inbox', icon: Inbox, order: 10 }

/** The navigation of somebody, in its order. */
export function navigation(me: Me): NavEntry[] {
  const entries = features.flatMap((feature) => ((feature.may?.(me) ?? true) ? (feature.nav ?? []) : []))
  return [...(seesInbox(me) ? [inbox] : []), ...entries].sort((a, b) => a.order - b.order)
}
