/** One's own password and sign-ins. */
import { type FormEvent, useState } from 'react'
import { client, of } from '../../api/client'
import type { components } from '../../api/schema'
import { signOut } from '../../api/session'
import { live } from '../../app/live'
import { useAct, useLoaded } from '../../data/ask'
import { t } from '../../i18n'
import { moment } from '../../i18n/format'
import { Button } from '../../ui/button'
import { TextField } from '../../ui/form'
import { checkPassword } from './checks'
import { Badge, Card, Refused, SectionPage, Submit, When } from './parts'

type Session = components['schemas']['Session']

export function AccountPage() {
  const { me } = live()
  return (
    <SectionPage id="account">
      <Card>
        <dl className="grid gap-3 p-4 sm:grid-cols-3">
          <Fact name={t('settings.account.name')} value={me.name} />
          <Fact name={t('settings.account.email')} value={me.email} ltr />
          <Fact name={t('settings.account.role')} value={t(`role.${me.role}`)} />
        </dl>
      </Card>
      <Password />
      <Sessions />
    </SectionPage>
  )
}

function Fact({ name, value, ltr }: { name: string; value: string; ltr?: boolean }) {
  return (
    <div className="min-w-0">
      <dt className="text-xs text-soft">{name}</dt>
      <dd className="truncate font-medium">
        <bdi dir={ltr ? 'ltr' : undefined}>{value}</bdi>
      </dd>
    </div>
  )
}

function Password() {
  const [current, setCurrent] = useState('')
  const [next, setNext] = useState('')
  const act = useAct()
  const wrong = next ? checkPassword(next) : undefined
  const submit = (event: FormEvent) => {
    event.preventDefault()
    void act
      .run(() => of(client.PUT('/api/v1/auth/password', { body: { current_password: current, new_password: next } })))
      .then((changed) => {
        if (!changed) return
        setCurrent('')
        setNext('')
      })
  }
  return (
    <Card title={t('settings.account.password')} lead={t('settings.account.passwordLead')}>
      <form onSubmit={submit} className="grid gap-4 p-4 sm:grid-cols-2">
        <input type="text" hidden readOnly autoComplete="username" value={live().me.email} />
        <TextField
          label={t('settings.account.current')}
          type="password"
          dir="ltr"
          autoComplete="current-password"
          required
          value={current}
          onChange={setCurrent}
        />
        <TextField
          label={t('settings.account.next')}
          type="password"
          dir="ltr"
          autoComplete="new-password"
          required
          value={next}
          onChange={setNext}
          hint={t('settings.account.nextHint')}
          error={wrong && t(wrong)}
        />
        <div className="sm:col-span-2">
          <Submit
            act={act}
            label={t('settings.account.change')}
            saved={t('settings.account.changed')}
            disabled={!current || !next || wrong !== undefined}
          />
        </div>
      </form>
    </Card>
  )
}

function Sessions() {
  const loaded = useLoaded<Session[]>('sessions', () => of(client.GET('/api/v1/auth/sessions')))
  const act = useAct()
  const end = (one: Session) =>
    void act
      .run(() => of(client.DELETE('/api/v1/auth/sessions/{session_id}', { params: { path: { session_id: one.id } } })))
      .then(loaded.changed)
  return (
    <Card title={t('settings.account.sessions')} lead={t('settings.account.sessionsLead')}>
      <When loaded={loaded}>
        {(sessions) => (
          <ul className="divide-y divide-line">
            {sessions.map((one) => (
              <li key={one.id} className="flex items-center gap-3 px-4 py-3">
                <div className="min-w-0 flex-1">
                  <p className="font-medium">
                    {t('settings.account.lastUsed', { time: moment(one.last_used_at) })}{' '}
                    {one.current && <Badge look="good">{t('settings.account.thisOne')}</Badge>}
                  </p>
                  <p className="text-xs text-soft">{t('settings.account.began', { time: moment(one.created_at) })}</p>
                </div>
                <Button disabled={act.busy} onClick={() => (one.current ? void signOut() : end(one))}>
                  {one.current ? t('menu.signOut') : t('settings.account.end')}
                </Button>
              </li>
            ))}
          </ul>
        )}
      </When>
      <div className="px-4 pb-3 empty:hidden">
        <Refused failed={act.failed} />
      </div>
    </Card>
  )
}
