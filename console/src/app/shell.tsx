import { Outlet } from '@tanstack/react-router'
import { Keyboard, Languages, LogOut, Moon, Repeat, Search, Sun } from 'lucide-react'
import { lazy, Suspense, useEffect, useState } from 'react'
import { useStore } from 'zustand'
import { createStore } from 'zustand/vanilla'
import { session, signOut } from '../api/session'
import { switchWorkspace } from '../api/sign-in'
import type { Me, Presence } from '../api/types'
import { language, speak, t } from '../i18n'
import { IconButton } from '../ui/button'
import { Menu, type MenuEntry } from '../ui/menu'
import { Bell } from './bell'
import { type Command, shown, useCommands } from './commands'
import { LinkBadge, LinkBanner } from './connection'
import { live, seesInbox, useDesk } from './live'
import { features, navigation } from './modules'
import { PageLink } from './page-link'
import { openPalette } from './palette'
import { picking } from './pick'
import { go } from './router'
import { store } from './storage'
import { Toasts, toastFailure } from './toasts'
import { wall } from './wall'

const Help = lazy(() => import('./help'))
const Picker = lazy(() => import('../ui/picker'))

export const initials = (name: string): string => {
  const words = name
    .trim()
    .split(/\s+/)
    .filter((word) => /\p{L}/u.test(word))
  return words
    .slice(0, 2)
    .map((word) => Array.from(word)[0] ?? '')
    .join(/\p{Script=Arabic}/u.test(name) ? '\u200c' : '')
    .toUpperCase()
}

const theme = createStore<{ dark: boolean }>()(() => ({ dark: document.documentElement.dataset.theme === 'dark' }))

export function toggleTheme(): void {
  const dark = !theme.getState().dark
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
  store('saler.theme', dark ? 'dark' : 'light')
  theme.setState({ dark })
}

export function LanguageAndTheme() {
  const spoken = useStore(language, (state) => state.language)
  const dark = useStore(theme, (state) => state.dark)
  const other = spoken === 'ar' ? 'en' : 'ar'
  return (
    <>
      <button
        type="button"
        lang={other}
        className="inline-flex h-8 items-center gap-1.5 rounded-md px-2 text-[13px] text-soft hover:bg-hover hover:text-ink"
        onClick={() => void speak(other, true)}
      >
        <Languages size={16} aria-hidden />
        {t('language.other')}
      </button>
      <IconButton label={dark ? t('theme.light') : t('theme.dark')} onClick={toggleTheme}>
        {dark ? <Sun size={16} aria-hidden /> : <Moon size={16} aria-hidden />}
      </IconButton>
    </>
  )
}

const DOT: Record<Presence['availability'], string> = { online: 'bg-brand', busy: 'bg-danger', away: 'bg-warn' }

/** What is open belongs to the workspace that is left. */
const toWorkspace = (id: string): Promise<void> => switchWorkspace(id).then(() => go('/'), toastFailure)

function Account({ onHelp }: { onHelp: () => void }) {
  const { me, socket } = live()
  const mine = useDesk((state) => state.presence.get(me.user_id)?.availability) ?? 'online'
  const workspace = me.workspaces.find((one) => one.workspace_id === me.workspace_id)?.name
  const entries: MenuEntry[] = (['online', 'busy', 'away'] as const).map((one) => ({
    label: t(`presence.${one}`),
    checked: one === mine,
    icon: <span aria-hidden className={`mx-1 size-2 rounded-full ${DOT[one]}`} />,
    run: () => socket.presence(one),
  }))
  const other = language.getState().language === 'ar' ? 'en' : 'ar'
  entries.push({
    label: t('language.other'),
    line: true,
    run: () => void speak(other, true),
    icon: <Languages size={15} aria-hidden className="text-soft" />,
  })
  entries.push({
    label: t(theme.getState().dark ? 'theme.light' : 'theme.dark'),
    run: toggleTheme,
    icon: <Moon size={15} aria-hidden className="text-soft" />,
  })
  entries.push({
    label: t('menu.shortcuts'),
    run: onHelp,
    icon: <Keyboard size={15} aria-hidden className="text-soft" />,
  })
  for (const other of me.workspaces.filter((one) => one.workspace_id !== me.workspace_id)) {
    entries.push({
      label: t('menu.toWorkspace', { name: other.name }),
      icon: <Repeat size={15} aria-hidden className="text-soft" />,
      run: () => void toWorkspace(other.workspace_id),
    })
  }
  entries.push({
    label: t('menu.signOut'),
    run: () => void signOut(),
    icon: <LogOut size={15} aria-hidden className="text-soft rtl:-scale-x-100" />,
  })
  return (
    <Menu
      trigger={
        <button
          type="button"
          aria-label={t('menu.account')}
          className="relative inline-grid size-8 shrink-0 place-items-center rounded-full bg-tint text-xs font-semibold text-brand"
        >
          {initials(me.name)}
          <span
            aria-hidden
            className={`absolute -bottom-0.5 -end-0.5 size-2.5 rounded-full ring-2 ring-panel ${DOT[mine]}`}
          />
        </button>
      }
      head={
        <>
          <p className="font-medium">
            <bdi>{me.name}</bdi>
          </p>
          <p className="text-xs text-soft">
            {t(`role.${me.role}`)} · <bdi>{workspace}</bdi>
          </p>
        </>
      }
      entries={entries}
    />
  )
}

const NAV =
  'inline-flex h-8 items-center gap-1.5 rounded-md px-2.5 text-[13px] font-medium text-soft hover:bg-hover hover:text-ink data-[status=active]:bg-tint data-[status=active]:text-brand max-sm:px-2'

/** What the shell offers on every page. */
function shellCommands(me: Me, help: () => void): Command[] {
  const spoken = language.getState().language
  const go_ = t('palette.go')
  const here = t('palette.console')
  return [
    { id: 'palette', title: t('palette.title'), group: here, keys: 'Mod+KeyK', hidden: true, run: openPalette },
    ...navigation(me).map((one) => ({
      id: `go.${one.to}`,
      title: t(one.label),
      group: go_,
      icon: <one.icon size={15} aria-hidden />,
      run: () => go(one.to),
    })),
    ...features.flatMap((one) => ((one.may?.(me) ?? true) ? (one.commands?.({ me, go }) ?? []) : [])),
    ...(['online', 'busy', 'away'] as const).map((one) => ({
      id: `presence.${one}`,
      title: `${t('presence.label')}: ${t(`presence.${one}`)}`,
      group: here,
      icon: <span className={`size-2 rounded-full ${DOT[one]}`} />,
      run: () => live().socket.presence(one),
    })),
    ...me.workspaces
      .filter((one) => one.workspace_id !== me.workspace_id)
      .map((one) => ({
        id: `workspace.${one.workspace_id}`,
        title: t('menu.toWorkspace', { name: one.name }),
        group: go_,
        icon: <Repeat size={15} aria-hidden />,
        run: () => void toWorkspace(one.workspace_id),
      })),
    {
      id: 'language',
      title: t('language.other'),
      group: here,
      words: 'language arabic english لغة',
      icon: <Languages size={15} aria-hidden />,
      run: () => void speak(spoken === 'ar' ? 'en' : 'ar', true),
    },
    {
      id: 'theme',
      title: t(theme.getState().dark ? 'theme.light' : 'theme.dark'),
      group: here,
      icon: <Moon size={15} aria-hidden />,
      run: toggleTheme,
    },
    {
      id: 'help',
      title: t('menu.shortcuts'),
      group: here,
      keys: '?',
      icon: <Keyboard size={15} aria-hidden />,
      run: help,
    },
    { id: 'signOut', title: t('menu.signOut'), group: here, icon: <LogOut size={15} />, run: () => void signOut() },
  ]
}

/** How many things the reader has not seen, in the tab's title. */
function useTitle(): void {
  const unread = useDesk((state) => state.notices.unread)
  const spoken = useStore(language, (state) => state.language)
  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) ${t('app.name')}` : t('app.name')
  }, [unread, spoken])
}

export function Shell() {
  // Every text below is drawn anew in the other language.
  useStore(language, (state) => state.language)
  const signed = useStore(session, (state) => state.state === 'in')
  return signed ? <Frame /> : null
}

function Frame() {
  const [help, setHelp] = useState(false)
  const bare = useStore(wall, (state) => state.on)
  const { me } = live()
  const showHelp = () => setHelp(true)
  useCommands(shellCommands(me, showHelp))
  useTitle()
  return (
    <div className="flex h-full flex-col">
      <a
        href="#content"
        className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:m-2 focus:rounded focus:bg-raised focus:p-2"
      >
        {t('app.skip')}
      </a>
      {!bare && <Header me={me} onHelp={showHelp} />}
      <LinkBanner />
      <main id="content" tabIndex={-1} className="min-h-0 flex-1 outline-none">
        <Outlet />
      </main>
      <Suspense>{help && <Help open onOpenChange={setHelp} />}</Suspense>
      <Picking />
      <Toasts />
    </div>
  )
}

function Picking() {
  const { pick, opened } = useStore(picking)
  return <Suspense>{pick && <Picker key={opened} {...pick} />}</Suspense>
}

function Header({ me, onHelp }: { me: Me; onHelp: () => void }) {
  return (
    <header className="flex h-12 shrink-0 items-center gap-2 border-b border-line bg-panel px-3 max-sm:gap-1 max-sm:px-2">
      <img src="/icon.svg" alt="" className="size-6 max-sm:hidden" />
      <span className="me-2 text-[15px] font-semibold tracking-tight max-lg:hidden">{t('app.name')}</span>
      <nav aria-label={t('nav.label')} className="flex gap-1 max-sm:gap-0">
        {navigation(me).map((one) => (
          <PageLink key={one.to} to={one.to} className={NAV} title={t(one.label)}>
            <one.icon size={16} aria-hidden />
            <span className="max-md:sr-only">{t(one.label)}</span>
          </PageLink>
        ))}
      </nav>
      <div className="ms-auto flex items-center gap-1">
        <LinkBadge />
        <button
          type="button"
          onClick={openPalette}
          aria-label={t('palette.title')}
          title={t('palette.title')}
          className="ms-1 inline-flex h-8 items-center gap-2 rounded-md px-2 text-[13px] text-soft hover:bg-hover hover:text-ink lg:w-52 lg:border lg:border-line lg:bg-sunken"
        >
          <Search size={16} aria-hidden />
          <span className="flex-1 text-start max-lg:hidden">{t('palette.short')}</span>
          <kbd dir="ltr" className="font-sans text-[11px] max-lg:hidden">
            {shown('Mod+KeyK')}
          </kbd>
        </button>
        {seesInbox(me) && <Bell />}
        <span className="contents max-sm:hidden">
          <LanguageAndTheme />
        </span>
        <Account onHelp={onHelp} />
      </div>
    </header>
  )
}
