/** API tokens: what programs act with. A secret is shown once. */
import { Plus } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import { client, of } from '../../api/client'
import { pages, paging } from '../../api/pages'
import type { components } from '../../api/schema'
import { live } from '../../app/live'
import { useAct, useLoaded } from '../../data/ask'
import { t } from '../../i18n'
import { moment } from '../../i18n/format'
import { Button } from '../../ui/button'
import { Dialog } from '../../ui/dialog'
import { CopyField, SelectField, TextField } from '../../ui/form'
import { Blank } from '../../ui/state'
import { checkName } from './checks'
import { Badge, Card, can, Refused, SectionPage, Submit, useConfirm, When } from './parts'
import { mayGrant, ROLES, type Role } from './rights'

type Token = components['schemas']['ApiToken']

const DAYS = ['30', '90', '180', '365'] as const
/** A token that ends within this many days is pointed out. */
const SOON_MS = 14 * 86_400_000

export function TokensPage() {
  const loaded = useLoaded<Token[]>(
    'tokens',
    () => pages((cursor) => of(client.GET('/api/v1/tokens', paging(cursor)))),
    { enabled: can('manageTokens') },
  )
  const [adding, setAdding] = useState(false)
  const act = useAct()
  const [dialog, confirm] = useConfirm()
  const revoke = (token: Token) =>
    void act
      .run(() => of(client.DELETE('/api/v1/tokens/{token_id}', { params: { path: { token_id: token.id } } })))
      .then(loaded.changed)
  const until = (token: Token) => {
    const left = Date.parse(token.expires_at) - Date.now()
    const look = left < 0 ? 'bad' : left < SOON_MS ? 'warn' : 'plain'
    const time = moment(token.expires_at)
    return (
      <Badge look={look}>
        {left < 0 ? t('settings.tokens.ended', { time }) : t('settings.tokens.until', { time })}
      </Badge>
    )
  }
  return (
    <SectionPage
      id="tokens"
      action={
        <Button look="primary" className="h-9" icon={<Plus size={15} aria-hidden />} onClick={() => setAdding(true)}>
          {t('settings.tokens.add')}
        </Button>
      }
    >
      <When loaded={loaded}>
        {(tokens) => (
          <Card>
            {tokens.length === 0 ? (
              <Blank title={t('settings.tokens.empty')} hint={t('settings.tokens.emptyHint')} />
            ) : (
              <ul className="divide-y divide-line">
                {tokens.map((token) => (
                  <li key={token.id} className="flex flex-wrap items-center gap-3 px-4 py-3">
                    <div className="min-w-40 flex-1">
                      <p className="truncate font-medium">
                        <bdi>{token.name}</bdi>
                      </p>
                      <p className="text-xs text-soft">
                        {token.bot ? t('settings.tokens.asBot', { name: token.bot }) : t('settings.tokens.asPerson')} ·{' '}
                        {t('settings.tokens.made', { time: moment(token.created_at) })}
                      </p>
                    </div>
                    <Badge>{t(`role.${token.role}`)}</Badge>
                    {until(token)}
                    <Button
                      look="danger"
                      disabled={act.busy}
                      onClick={() =>
                        confirm({
                          title: t('settings.tokens.revoke'),
                          text: t('settings.tokens.revokeText', { name: token.name }),
                          label: t('settings.tokens.revoke'),
                          run: () => revoke(token),
                        })
                      }
                    >
                      {t('settings.tokens.revoke')}
                    </Button>
                  </li>
                ))}
              </ul>
            )}
          </Card>
        )}
      </When>
      <Refused failed={act.failed} />
      <p className="text-[13px] text-soft">
        <a className="text-brand underline" href="/api/v1/docs/" target="_blank" rel="noreferrer">
          {t('settings.tokens.docs')}
        </a>
      </p>
      {adding && <Add close={() => setAdding(false)} changed={loaded.changed} />}
      {dialog}
    </SectionPage>
  )
}

function Add({ close, changed }: { close: () => void; changed: () => Promise<void> }) {
  const { me } = live()
  const [name, setName] = useState('')
  const [role, setRole] = useState<Role>(me.role === 'owner' || me.role === 'admin' ? 'analyst' : me.role)
  const [days, setDays] = useState<string>('90')
  const [bot, setBot] = useState('')
  const [secret, setSecret] = useState<string>()
  const act = useAct()
  const submit = (event: FormEvent) => {
    event.preventDefault()
    const body = { name: name.trim(), role, expires_in_days: Number(days), ...(bot.trim() ? { bot: bot.trim() } : {}) }
    void act.run(async () => {
      setSecret((await of(client.POST('/api/v1/tokens', { body }))).secret)
      await changed()
    })
  }
  if (secret) {
    return (
      <Dialog open onOpenChange={close} title={t('settings.tokens.ready')} closeLabel={t('settings.close')}>
        <CopyField
          label={name}
          value={secret}
          copyLabel={t('settings.copy')}
          copiedLabel={t('settings.copied')}
          hint={t('settings.tokens.once')}
        />
        <div className="mt-4 flex justify-end">
          <Button look="primary" onClick={close}>
            {t('settings.tokens.kept')}
          </Button>
        </div>
      </Dialog>
    )
  }
  return (
    <Dialog open onOpenChange={close} title={t('settings.tokens.add')} closeLabel={t('settings.cancel')}>
      <form onSubmit={submit} className="space-y-4">
        <TextField
          label={t('settings.tokens.name')}
          hint={t('settings.tokens.nameHint')}
          required
          value={name}
          onChange={setName}
        />
        <div className="grid gap-4 sm:grid-cols-2">
          <SelectField
            label={t('settings.tokens.role')}
            value={role}
            onChange={setRole}
            choices={ROLES.filter((one) => mayGrant(me.role, one)).map((value) => ({
              value,
              label: t(`role.${value}`),
            }))}
          />
          <SelectField
            label={t('settings.tokens.days')}
            value={days}
            onChange={setDays}
            choices={DAYS.map((value) => ({ value, label: t('settings.tokens.forDays', { count: Number(value) }) }))}
          />
        </div>
        <TextField
          label={t('settings.tokens.bot')}
          hint={t('settings.tokens.botHint')}
          value={bot}
          onChange={setBot}
          maxLength={100}
        />
        <Submit act={act} label={t('settings.tokens.add')} disabled={checkName(name) !== undefined} />
      </form>
    </Dialog>
  )
}
