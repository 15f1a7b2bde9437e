/** Where everything is: an address for each page, list and conversation. */
import {
  type AnyRoute,
  createRootRoute,
  createRoute,
  createRouter,
  type ErrorComponentProps,
  lazyRouteComponent,
  redirect,
} from '@tanstack/react-router'
import { Lock } from 'lucide-react'
import type { ComponentType } from 'react'
import { useStore } from 'zustand'
import { session } from '../api/session'
import { language, learn, t } from '../i18n'
import { type InboxSearch, inboxSearch } from '../live/view'
import { Button } from '../ui/button'
import { Blank } from '../ui/state'
import { live, seesInbox } from './live'
import type { Feature, Page } from './module'
import { features, navigation } from './modules'
import { Shell } from './shell'

const root = createRootRoute({
  component: Shell,
  errorComponent: Crashed,
  notFoundComponent: () => <Blank title={t('error.notFound')} />,
})

function Crashed({ reset, error }: ErrorComponentProps) {
  useStore(session)
  // A page of an older build is no longer to be had: the new one is loaded with the whole page.
  const gone = /dynamically imported module|Importing a module script failed/.test(String(error))
  return (
    <Blank title={t(gone ? 'error.newVersion' : 'error.crashed')}>
      <Button onClick={gone ? () => location.reload() : reset}>{t(gone ? 'link.reload' : 'error.retry')}</Button>
    </Blank>
  )
}

const home = createRoute({
  getParentRoute: () => root,
  path: '/',
  beforeLoad: () => {
    const now = session.getState()
    if (now.state !== 'in' || seesInbox(now.me)) throw redirect({ to: '/inbox' })
    throw redirect({ to: (navigation(now.me)[0]?.to ?? '/inbox') as '/inbox' })
  },
})

const inbox = createRoute({
  getParentRoute: () => root,
  path: '/inbox',
  validateSearch: (search: Record<string, unknown>): InboxSearch => inboxSearch(search),
  component: lazyRouteComponent(() => import('../features/inbox/route'), 'InboxPage'),
})

const conversation = createRoute({ getParentRoute: () => inbox, path: '$conversationId' })

/** A page that is loaded with its texts, for those who may see it. */
function guarded(feature: Feature, page: Page) {
  return lazyRouteComponent(async () => {
    const [Shown] = await Promise.all([page.load(), feature.messages ? learn(feature.messages) : undefined])
    return { default: () => <Guard feature={feature} page={Shown} /> }
  })
}

function Guard({ feature, page: Shown }: { feature: Feature; page: ComponentType }) {
  useStore(language, (state) => state.language)
  if (feature.may && !feature.may(live().me)) {
    return <Blank icon={<Lock aria-hidden />} title={t('error.forbidden')} hint={t('error.forbiddenHint')} />
  }
  return <Shown />
}

function routesOf(feature: Feature, parent: AnyRoute, pages: readonly Page[]): AnyRoute[] {
  return pages.map((page) => {
    const route = createRoute({
      getParentRoute: () => parent,
      path: page.path,
      component: guarded(feature, page),
      ...(page.search ? { validateSearch: page.search } : {}),
    }) as unknown as AnyRoute
    return page.pages ? (route.addChildren(routesOf(feature, route, page.pages)) as AnyRoute) : route
  })
}

// The features' addresses are known at run time only; the inbox's are typed.
const others = features.flatMap((feature) => routesOf(feature, root, feature.pages)) as unknown as []

export const router = createRouter({
  routeTree: root.addChildren([home, inbox.addChildren([conversation]), ...others]),
  defaultPreload: 'intent',
})

/** Opens a page by its address, as the features' commands and links do. */
export function go(to: string, search: Record<string, unknown> = {}): void {
  void router.navigate({ to: to as '/inbox', search })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
