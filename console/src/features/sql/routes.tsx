import { Database } from 'lucide-react'
import { seesBoard } from '../../app/live'
import type { Feature } from '../../app/module'

export const feature: Feature = {
  may: seesBoard,
  messages: 'sql',
  pages: [{ path: '/sql', load: async () => (await import('./page')).SqlPage }],
  nav: [{ to: '/sql', label: 'nav.sql', icon: Database, order: 30 }],
}
