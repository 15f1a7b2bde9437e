import { ChartColumn, MonitorPlay } from 'lucide-react'
import { seesBoard } from '../../app/live'
import type { Feature } from '../../app/module'
import { t } from '../../i18n'
import { boardSearch } from './search'

export const feature: Feature = {
  may: seesBoard,
  messages: 'board',
  pages: [{ path: '/board', load: async () => (await import('./page')).BoardPage, search: boardSearch }],
  nav: [{ to: '/board', label: 'nav.board', icon: ChartColumn, order: 20 }],
  commands: ({ me, go }) => {
    if (!seesBoard(me)) return []
    const icon = <MonitorPlay size={15} aria-hidden />
    const run = () => go('/board', { wall: true })
    return [{ id: 'board.wall', title: t('nav.board.wall'), group: t('palette.go'), icon, run }]
  },
}
