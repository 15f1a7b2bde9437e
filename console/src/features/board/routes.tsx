import { ChartColumn } from 'lucide-react'
import { seesBoard } from '../../app/live'
import type { Feature } from '../../app/module'

export const feature: Feature = {
  may: seesBoard,
  messages: 'board',
  pages: [{ path: '/board', load: async () => (await import('./page')).BoardPage }],
  nav: [{ to: '/board', label: 'nav.board', icon: ChartColumn, order: 20 }],
}
