/** Where everything is: an address for each page, list and conversation. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from '@tanstack/react-router'
import { useStore } from 'zustand'
import { session } from '../api/session'
import type { Status } from '../api/types'
import { t } from '../i18n'
import type { Assignee } from '../live/desk'
import { Button } from '../ui/button'
import { Blank } from '../ui/state'
import { seesAll, seesInbox } from './live'
import { Shell } from './shell'

export interface InboxSearch {
  view?: Assignee
  status?: Status
}

const VIEWS: readonly string[] = ['me', 'none', 'all']
const STATUSES: readonly string[] = ['open', 'pending', 'snoozed', 'resolved']

const root = createRootRoute({
  component: Shell,
  errorComponent: Crashed,
  notFoundComponent: () => <Blank title={t('error.notFound')} />,
})

function Crashed({ reset }: { reset: () => void }) {
  useStore(session)
  return (
    <Blank title={t('error.crashed')}>
      <Button onClick={reset}>{t('error.retry')}</Button>
    </Blank>
  )
}

const home = createRoute({
  getParentRoute: () => root,
  path: '/',
  beforeLoad: () => {
    const now = session.getState()
    if (now.state === 'in' && !seesInbox(now.me)) throw redirect({ to: '/board' })
    throw redirect({ to: '/inbox' })
  },
})

const inbox = createRoute({
  getParentRoute: () => root,
  path: '/inbox',
  validateSearch: (search: Record<string, unknown>): InboxSearch => ({
    ...(VIEWS.includes(String(search.view)) ? { view: search.view as Assignee } : {}),
    ...(STATUSES.includes(String(search.status)) ? { status: search.status as Status } : {}),
  }),
  component: lazyRouteComponent(() => import('../features/inbox/route'), 'InboxPage'),
})

const conversation = createRoute({ getParentRoute: () => inbox, path: '$conversationId' })

const board = createRoute({
  getParentRoute: () => root,
  path: '/board',
  component: lazyRouteComponent(() => import('../features/board/page'), 'BoardPage'),
})

export const router = createRouter({
  routeTree: root.addChildren([home, inbox.addChildren([conversation]), board]),
  defaultPreload: 'intent',
})

/** The view that somebody begins with. */
export function firstView(): Assignee {
  const now = session.getState()
  return now.state === 'in' && seesAll(now.me) ? 'all' : 'me'
}

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
