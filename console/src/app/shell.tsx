import { Link, Outlet } from '@tanstack/react-router'
import { ChartColumn, Inbox, Keyboard, Languages, LogOut, Moon, Repeat, Sun } from 'lucide-react'
import { lazy, Suspense, useState } from 'react'
import { useStore } from 'zustand'
import { session, signOut } from '../api/session'
import type { Presence } from '../api/types'
import { language, speak, t } from '../i18n'
import { IconButton } from '../ui/button'
import { Menu, type MenuEntry } from '../ui/menu'
import { LinkBadge, LinkBanner } from './connection'
import { live, seesBoard, seesInbox, useDesk } from './live'
import { useShortcuts } from './shortcuts'

const Help = lazy(() => import('./help'))

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

export function toggleTheme(): void {
  const root = document.documentElement
  const next = root.dataset.theme === 'dark' ? 'light' : 'dark'
  root.dataset.theme = next
  try {
    localStorage.setItem('saler.theme', next)
  } catch {
    // It holds for this visit.
  }
}

export function LanguageAndTheme() {
  const spoken = useStore(language, (state) => state.language)
  const [dark, setDark] = useState(document.documentElement.dataset.theme === 'dark')
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
      <IconButton
        label={dark ? t('theme.light') : t('theme.dark')}
        onClick={() => {
          toggleTheme()
          setDark(!dark)
        }}
      >
        {dark ? <Sun size={16} aria-hidden /> : <Moon size={16} aria-hidden />}
      </IconButton>
    </>
  )
}

const DOT: Record<Presence['availability'], string> = { online: 'bg-brand', busy: 'bg-danger', away: 'bg-warn' }

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
  entries.push({
    label: t('menu.shortcuts'),
    line: true,
    run: onHelp,
    icon: <Keyboard size={15} aria-hidden className="text-soft" />,
  })
  if (me.workspaces.length > 1) {
    const icon = <Repeat size={15} aria-hidden className="text-soft" />
    entries.push({ label: t('menu.switchWorkspace'), run: () => void signOut(), icon })
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
  'inline-flex h-8 items-center gap-1.5 rounded-md px-2.5 text-[13px] font-medium text-soft hover:bg-hover hover:text-ink data-[status=active]:bg-tint data-[status=active]:text-brand'

export function Shell() {
  // Every text below is drawn anew in the other language.
  useStore(language, (state) => state.language)
  const signed = useStore(session, (state) => state.state === 'in')
  const [help, setHelp] = useState(false)
  useShortcuts({ '?': () => setHelp(true) })
  if (!signed) return null
  const { me } = live()
  return (
    <div className="flex h-full flex-col">
      <a
        href="#content"
        className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:m-2 focus:rounded focus:bg-raised focus:p-2"
      >
        {t('app.skip')}
      </a>
      <header className="flex h-12 shrink-0 items-center gap-2 border-b border-line bg-panel px-3">
        <img src="/icon.svg" alt="" className="size-6" />
        <span className="me-2 text-[15px] font-semibold tracking-tight max-sm:hidden">{t('app.name')}</span>
        <nav aria-label={t('nav.label')} className="flex gap-1">
          {seesInbox(me) && (
            <Link to="/inbox" search={(old) => old} className={NAV}>
              <Inbox size={16} aria-hidden />
              <span className="max-sm:sr-only">{t('nav.inbox')}</span>
            </Link>
          )}
          {seesBoard(me) && (
            <Link to="/board" className={NAV}>
              <ChartColumn size={16} aria-hidden />
              <span className="max-sm:sr-only">{t('nav.board')}</span>
            </Link>
          )}
        </nav>
        <div className="ms-auto flex items-center gap-1">
          <LinkBadge />
          <span className="w-1" />
          <LanguageAndTheme />
          <Account onHelp={() => setHelp(true)} />
        </div>
      </header>
      <LinkBanner />
      <main id="content" tabIndex={-1} className="min-h-0 flex-1 outline-none">
        <Outlet />
      </main>
      <Suspense>{help && <Help open onOpenChange={setHelp} />}</Suspense>
    </div>
  )
}
