/** A new channel: what kind, its account, and then the address that the provider must know, and a test. */
import { ArrowRight, Check } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import { client, of } from '../../api/client'
import type { components } from '../../api/schema'
import type { Medium } from '../../api/types'
import { PageLink } from '../../app/page-link'
import { useAct } from '../../data/ask'
import { t } from '../../i18n'
import { buttonClass } from '../../ui/button'
import { CopyField, SelectField, TextArea, TextField } from '../../ui/form'
import { ChannelTest } from './channel-test'
import { ICONS, useChannelList } from './channels'
import { checkAddress, checkHours, checkName, checkSecret, checkSid, origins, tidyNumber } from './checks'
import { Card, SectionPage, Submit } from './parts'
import { WebhookSteps } from './webhook-steps'
import { Snippet } from './widget'

type Created = components['schemas']['CreatedChannel']
type Assignment = components['schemas']['AssignmentPolicy']

export const ASSIGNMENTS: readonly Assignment[] = ['fewest_open', 'round_robin', 'manual']
const MEDIA: readonly Medium[] = ['sms', 'whatsapp', 'web_chat']
const DEFAULT_REOPEN_HOURS = '168'

export const assignments = () => ASSIGNMENTS.map((value) => ({ value, label: t(`settings.assign.${value}`) }))

export function NewChannelPage() {
  const [medium, choose] = useState<Medium>('sms')
  const [made, make] = useState<Created>()
  const { changed } = useChannelList()
  const done = (created: Created) => {
    make(created)
    void changed()
  }
  return (
    <SectionPage
      id="channels"
      back="/settings/channels"
      title={made ? made.name : t('settings.channels.add')}
      lead={made ? t('settings.channels.madeLead') : t('settings.channels.addLead')}
    >
      {made ? (
        <Made channel={made} />
      ) : (
        <>
          <fieldset>
            <legend className="mb-2 text-[13px] font-medium">{t('settings.channels.kind')}</legend>
            <div className="grid gap-3 sm:grid-cols-3">
              {MEDIA.map((one) => {
                const Icon = ICONS[one]
                return (
                  <label
                    key={one}
                    className="flex cursor-pointer items-center gap-3 rounded-xl border border-line bg-panel p-3 has-checked:border-brand has-checked:bg-tint has-focus-visible:outline-2 has-focus-visible:outline-brand"
                  >
                    <input
                      type="radio"
                      name="medium"
                      className="sr-only"
                      checked={medium === one}
                      onChange={() => choose(one)}
                    />
                    <Icon size={20} aria-hidden className="shrink-0 text-brand" />
                    <span>
                      <span className="block font-medium">{t(`medium.${one}`)}</span>
                      <span className="block text-xs text-soft">{t(`settings.channels.by.${one}`)}</span>
                    </span>
                  </label>
                )
              })}
            </div>
          </fieldset>
          {medium === 'web_chat' ? <WebChat onMade={done} /> : <Twilio key={medium} medium={medium} onMade={done} />}
        </>
      )}
    </SectionPage>
  )
}

function Twilio({ medium, onMade }: { medium: 'sms' | 'whatsapp'; onMade: (made: Created) => void }) {
  const [name, setName] = useState('')
  const [address, setAddress] = useState('')
  const [sid, setSid] = useState('')
  const [token, setToken] = useState('')
  const [assignment, setAssignment] = useState<Assignment>('fewest_open')
  const [hours, setHours] = useState(DEFAULT_REOPEN_HOURS)
  const [rate, setRate] = useState('')
  const [base, setBase] = useState('')
  const [tried, setTried] = useState(false)
  const act = useAct()
  const wrong = {
    address: checkAddress(address),
    sid: checkSid(sid),
    token: checkSecret(token.trim()),
    hours: checkHours(hours),
    rate: rate === '' || /^([1-9]\d{0,2}|1000)$/.test(rate) ? undefined : ('settings.check.rate' as const),
  }
  /** What is wrong with a field, once something stands in it or somebody wants to go on. */
  const tell = (field: keyof typeof wrong, text: string) => {
    const one = wrong[field]
    return one && (text || tried) ? t(one) : undefined
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    setTried(true)
    if (Object.values(wrong).some(Boolean)) return
    const number = address.trim().startsWith('MG') ? address.trim() : tidyNumber(address)
    const body: components['schemas']['NewChannel'] = {
      name: checkName(name) ? number : name.trim(),
      assignment,
      reopen_hours: Number(hours),
      account: {
        provider: 'twilio',
        medium,
        address: number,
        account_sid: sid.trim(),
        auth_token: token.trim(),
        ...(rate ? { messages_per_second: Number(rate) } : {}),
        ...(base.trim() ? { api_base: base.trim().replace(/\/+$/, '') } : {}),
      },
    }
    void act.run(async () => onMade((await of(client.POST('/api/v1/channels', { body }))) as Created))
  }
  return (
    <Card title={t('settings.channels.account')} lead={t('settings.channels.accountLead')}>
      <form onSubmit={submit} noValidate className="grid gap-4 p-4 sm:grid-cols-2">
        <TextField
          label={t('settings.channels.number')}
          hint={t(medium === 'sms' ? 'settings.channels.numberHint' : 'settings.channels.numberHintWhatsapp')}
          dir="ltr"
          inputMode="tel"
          autoComplete="off"
          required
          value={address}
          onChange={setAddress}
          onBlur={() => checkAddress(address) || address.trim().startsWith('MG') || setAddress(tidyNumber(address))}
          error={tell('address', address)}
        />
        <TextField
          label={t('settings.channels.name')}
          hint={t('settings.channels.nameHint')}
          value={name}
          onChange={setName}
          maxLength={100}
        />
        <TextField
          label={t('settings.channels.sid')}
          hint={t('settings.channels.sidHint')}
          dir="ltr"
          autoComplete="off"
          spellCheck={false}
          required
          value={sid}
          onChange={setSid}
          error={tell('sid', sid)}
        />
        <TextField
          label={t('settings.channels.token')}
          hint={t('settings.channels.tokenHint')}
          type="password"
          dir="ltr"
          autoComplete="off"
          required
          value={token}
          onChange={setToken}
          error={tell('token', token)}
        />
        <SelectField
          label={t('settings.channels.assignment')}
          hint={t(`settings.assignHint.${assignment}`)}
          value={assignment}
          onChange={setAssignment}
          choices={assignments()}
        />
        <details className="sm:col-span-2">
          <summary className="cursor-pointer text-[13px] font-medium text-soft">{t('settings.channels.more')}</summary>
          <div className="mt-3 grid gap-4 sm:grid-cols-2">
            <TextField
              label={t('settings.channels.hours')}
              hint={t('settings.channels.hoursHint')}
              inputMode="numeric"
              value={hours}
              onChange={setHours}
              error={tell('hours', hours)}
            />
            <TextField
              label={t('settings.channels.rate')}
              hint={t('settings.channels.rateHint')}
              inputMode="numeric"
              placeholder={medium === 'sms' ? '1' : '10'}
              value={rate}
              onChange={setRate}
              error={tell('rate', rate)}
            />
            <TextField
              label={t('settings.channels.base')}
              hint={t('settings.channels.baseHint')}
              dir="ltr"
              placeholder="https://api.twilio.com"
              value={base}
              onChange={setBase}
            />
          </div>
        </details>
        <div className="sm:col-span-2">
          <Submit act={act} label={t('settings.channels.make')} />
        </div>
      </form>
    </Card>
  )
}

function WebChat({ onMade }: { onMade: (made: Created) => void }) {
  const [name, setName] = useState('')
  const [pages, setPages] = useState('')
  const [assignment, setAssignment] = useState<Assignment>('fewest_open')
  const act = useAct()
  const { list, wrong } = origins(pages)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    const body: components['schemas']['NewChannel'] = {
      name: name.trim(),
      assignment,
      account: { provider: 'web_chat', allowed_origins: list },
    }
    void act.run(async () => onMade((await of(client.POST('/api/v1/channels', { body }))) as Created))
  }
  return (
    <Card title={t('settings.channels.site')} lead={t('settings.channels.siteLead')}>
      <form onSubmit={submit} className="grid gap-4 p-4 sm:grid-cols-2">
        <TextField label={t('settings.channels.name')} required value={name} onChange={setName} maxLength={100} />
        <SelectField
          label={t('settings.channels.assignment')}
          value={assignment}
          onChange={setAssignment}
          choices={assignments()}
        />
        <TextArea
          className="sm:col-span-2"
          label={t('settings.channels.origins')}
          hint={t('settings.channels.originsHint')}
          dir="ltr"
          placeholder="https://shop.example"
          value={pages}
          onChange={setPages}
          error={wrong && t('settings.check.origin', { origin: wrong })}
        />
        <div className="sm:col-span-2">
          <Submit
            act={act}
            label={t('settings.channels.make')}
            disabled={Boolean(checkName(name) || wrong) || list.length === 0}
          />
        </div>
      </form>
    </Card>
  )
}

/** What is left to do for a channel that was just made. */
function Made({ channel }: { channel: Created }) {
  return (
    <>
      <p className="flex items-center gap-2 rounded-lg bg-tint px-4 py-3 font-medium text-brand" role="status">
        <Check size={16} aria-hidden />
        {t('settings.channels.made')}
      </p>
      {channel.identity_secret && (
        <Card title={t('settings.channels.secret')} lead={t('settings.channels.secretLead')}>
          <div className="space-y-4 p-4">
            <CopyField
              label={t('settings.channels.secret')}
              value={channel.identity_secret}
              copyLabel={t('settings.copy')}
              copiedLabel={t('settings.copied')}
              hint={t('settings.tokens.once')}
            />
            <CopyField
              label={t('settings.channels.id')}
              value={channel.id}
              copyLabel={t('settings.copy')}
              copiedLabel={t('settings.copied')}
            />
          </div>
        </Card>
      )}
      {channel.medium === 'web_chat' && <Snippet channel={channel} />}
      {channel.webhook_url && <WebhookSteps channel={channel} />}
      {channel.medium !== 'web_chat' && <ChannelTest channel={channel} />}
      <PageLink to={`/settings/channels/${channel.id}`} className={buttonClass('plain', 'h-9')}>
        {t('settings.channels.open')}
        <ArrowRight size={15} aria-hidden className="rtl:-scale-x-100" />
      </PageLink>
    </>
  )
}
