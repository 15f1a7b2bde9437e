import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode, useEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { useStore } from 'zustand'
import { queries } from './api/queries'
import { restore, session } from './api/session'
import { router } from './app/router'
import { SignInPage } from './features/sign-in/page'
import { directionOf, type Language, language, speak, t } from './i18n'
import './app/live'
import './main.css'
import { UiProviders } from './ui/providers'

/** How often an earlier sign-in is taken up again while the hub cannot be reached. */
const RESTORE_EVERY_MS = 2000

function Restoring() {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>
    const attempt = () =>
      void restore().catch(() => {
        timer = setTimeout(attempt, RESTORE_EVERY_MS)
      })
    attempt()
    return () => clearTimeout(timer)
  }, [])
  return (
    <p role="status" className="late grid h-full place-content-center text-soft">
      {t('restore.unreachable')}
    </p>
  )
}

function App() {
  const state = useStore(session, (now) => now.state)
  const spoken = useStore(language, (now) => now.language)
  return (
    <UiProviders direction={directionOf(spoken)}>
      {state === 'restoring' && <Restoring />}
      {state === 'out' && <SignInPage />}
      {state === 'in' && <RouterProvider router={router} />}
    </UiProviders>
  )
}

// Another person's answers are not shown to the next one.
session.subscribe((now) => {
  if (now.state === 'out') queries.clear()
})

const element = document.getElementById('root')
await speak(document.documentElement.lang as Language, false)
if (element) {
  createRoot(element).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>
    </StrictMode>,
  )
}
