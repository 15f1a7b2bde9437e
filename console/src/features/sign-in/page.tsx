import { type FormEvent, useState } from 'react'
import { useStore } from 'zustand'
import { type Failure, failure } from '../../api/client'
import { session, signedIn } from '../../api/session'
import { signIn, switchWorkspace } from '../../api/sign-in'
import type { Tokens } from '../../api/types'
import { LanguageAndTheme } from '../../app/shell'
import { language, t } from '../../i18n'
import { Button } from '../../ui/button'

const FIELD = 'h-10 w-full rounded-md border border-line-strong bg-panel px-3'

function reason(error: Failure): string {
  if (error.code === 'unauthenticated') return t('signIn.wrong')
  if (error.code === 'rate_limited') return t('signIn.tooMany')
  return t(`error.${error.code}`)
}

export function SignInPage() {
  useStore(language, (state) => state.language)
  const ended = useStore(session, (state) => state.state === 'out' && state.reason === 'ended')
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<string>()
  const [choice, setChoice] = useState<Tokens>()

  const attempt = async (run: () => Promise<void>) => {
    setBusy(true)
    setError(undefined)
    try {
      await run()
    } catch (caught) {
      setError(reason(failure(caught)))
    } finally {
      setBusy(false)
    }
  }

  const submit = (event: FormEvent) => {
    event.preventDefault()
    void attempt(async () => {
      const tokens = await signIn(email, password)
      if (tokens.me.workspaces.length > 1) setChoice(tokens)
      else signedIn(tokens)
    })
  }

  const choose = (tokens: Tokens, workspace_id: string) => {
    void attempt(async () => {
      if (workspace_id === tokens.me.workspace_id) signedIn(tokens)
      else await switchWorkspace(workspace_id, tokens.access_token)
    })
  }

  return (
    <div className="flex h-full flex-col overflow-y-auto">
      <div className="flex justify-end gap-1 p-3">
        <LanguageAndTheme />
      </div>
      <main className="mx-auto mt-[8vh] w-full max-w-sm px-5 pb-10">
        <div className="mb-6 flex items-center gap-3">
          <img src="/icon.svg" alt="" className="size-10" />
          <div>
            <h1 className="text-xl font-semibold">{choice ? t('signIn.choose') : t('signIn.title')}</h1>
            <p className="text-soft">
              {choice ? t('signIn.chooseLead', { count: choice.me.workspaces.length }) : t('signIn.lead')}
            </p>
          </div>
        </div>
        {choice ? (
          <ul className="space-y-2">
            {choice.me.workspaces.map((one) => (
              <li key={one.workspace_id}>
                <button
                  type="button"
                  disabled={busy}
                  onClick={() => choose(choice, one.workspace_id)}
                  className="flex w-full items-center justify-between rounded-lg border border-line bg-panel p-3 text-start hover:border-brand"
                >
                  <bdi className="font-medium">{one.name}</bdi>
                  <span className="text-xs text-soft">{t(`role.${one.role}`)}</span>
                </button>
              </li>
            ))}
          </ul>
        ) : (
          <form onSubmit={submit} className="space-y-4 rounded-xl border border-line bg-panel p-5">
            {ended && <p className="text-warn">{t('signIn.ended')}</p>}
            <label className="grid gap-1.5">
              <span className="font-medium">{t('signIn.email')}</span>
              <input
                className={FIELD}
                type="email"
                dir="ltr"
                autoComplete="username"
                required
                value={email}
                onChange={(event) => setEmail(event.target.value)}
              />
            </label>
            <label className="grid gap-1.5">
              <span className="font-medium">{t('signIn.password')}</span>
              <input
                className={FIELD}
                type="password"
                dir="ltr"
                autoComplete="current-password"
                required
                value={password}
                onChange={(event) => setPassword(event.target.value)}
              />
            </label>
            <Button type="submit" look="primary" className="h-10 w-full" disabled={busy}>
              {busy ? t('signIn.working') : t('signIn.submit')}
            </Button>
          </form>
        )}
        <p role="alert" className="mt-3 min-h-5 text-danger">
          {error}
        </p>
      </main>
    </div>
  )
}
