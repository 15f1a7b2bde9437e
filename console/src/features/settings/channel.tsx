/** One channel: its webhook, a test of it, what of it can be changed. */
import { useParams } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { client, of } from '../../api/client'
import type { components } from '../../api/schema'
import { useAct, useLoaded } from '../../data/ask'
import { t } from '../../i18n'
import { CopyField, SelectField, Switch, TextArea, TextField } from '../../ui/form'
import { assignments } from './channel-new'
import { ChannelTest } from './channel-test'
import { type ChannelView, useChannelList } from './channels'
import { checkHours, checkName, checkSecret, origins } from './checks'
import { Card, can, Refused, SectionPage, Submit, When } from './parts'
import { WebhookSteps } from './webhook-steps'
import { Appearance, Snippet } from './widget'

type Change = components['schemas']['ChannelChange']

export function ChannelPage() {
  const { channelId = '' } = useParams({ strict: false }) as { channelId?: string }
  const params = { path: { channel_id: channelId } }
  const loaded = useLoaded<ChannelView>(`channel/${channelId}`, () =>
    of(client.GET('/api/v1/channels/{channel_id}', { params })),
  )
  const list = useChannelList()
  const changed = async () => {
    await Promise.all([loaded.changed(), list.changed()])
  }
  const channel = loaded.data
  const name = channel ? <bdi>{channel.name}</bdi> : '…'
  const lead = channel && (
    <>
      {t(`medium.${channel.medium}`)}
      {channel.medium !== 'web_chat' && (
        <>
          {' · '}
          <bdi dir="ltr">{channel.address}</bdi>
        </>
      )}
    </>
  )
  return (
    <SectionPage id="channels" back="/settings/channels" title={name} lead={lead ?? ' '}>
      <When loaded={loaded}>
        {(one) => (
          <>
            {can('manageChannels') && <Active channel={one} changed={changed} />}
            <WebhookSteps channel={one} />
            {one.provider === 'web_chat' && <Snippet channel={one} />}
            {one.medium !== 'web_chat' && can('manageChannels') && <ChannelTest channel={one} />}
            {can('manageChannels') && <Settings key={one.id} channel={one} changed={changed} />}
            {can('manageChannels') && one.provider === 'twilio' && <Secret channel={one} changed={changed} />}
            {can('manageChannels') && one.provider === 'web_chat' && (
              <>
                <Appearance
                  key={`look-${one.id}`}
                  channel={one}
                  save={(act, widget) => act.run(() => patch({ channel: one, changed }, { widget }))}
                />
                <Origins key={`origins-${one.id}`} channel={one} changed={changed} />
              </>
            )}
            <Card>
              <div className="p-4">
                <CopyField
                  label={t('settings.channels.id')}
                  value={one.id}
                  copyLabel={t('settings.copy')}
                  copiedLabel={t('settings.copied')}
                />
              </div>
            </Card>
          </>
        )}
      </When>
    </SectionPage>
  )
}

interface Props {
  channel: ChannelView
  changed: () => Promise<void>
}

const patch = async ({ channel, changed }: Props, body: Change) => {
  await of(client.PATCH('/api/v1/channels/{channel_id}', { params: { path: { channel_id: channel.id } }, body }))
  await changed()
}

function Active(props: Props) {
  const act = useAct()
  return (
    <Card>
      <div className="space-y-2 p-4">
        <Switch
          label={t('settings.channels.active')}
          hint={t('settings.channels.activeHint')}
          checked={props.channel.active !== false}
          disabled={act.busy}
          onChange={(active) => void act.run(() => patch(props, { active }))}
        />
        <Refused failed={act.failed} />
      </div>
    </Card>
  )
}

function Settings(props: Props) {
  const { channel } = props
  const [name, setName] = useState(channel.name)
  const [assignment, setAssignment] = useState(channel.assignment ?? 'manual')
  const [hours, setHours] = useState(String(channel.reopen_hours ?? ''))
  const act = useAct()
  const wrongName = checkName(name)
  const wrongHours = checkHours(hours)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    void act.run(() => patch(props, { name: name.trim(), assignment, reopen_hours: Number(hours) }))
  }
  return (
    <Card title={t('settings.channels.settings')}>
      <form onSubmit={submit} className="grid gap-4 p-4 sm:grid-cols-2">
        <TextField
          label={t('settings.channels.name')}
          value={name}
          onChange={setName}
          error={wrongName && t(wrongName)}
        />
        <SelectField
          label={t('settings.channels.assignment')}
          hint={t(`settings.assignHint.${assignment}`)}
          value={assignment}
          onChange={setAssignment}
          choices={assignments()}
        />
        <TextField
          label={t('settings.channels.hours')}
          hint={t('settings.channels.hoursHint')}
          inputMode="numeric"
          value={hours}
          onChange={setHours}
          error={wrongHours && t(wrongHours)}
        />
        <div className="sm:col-span-2">
          <Submit act={act} label={t('settings.save')} disabled={Boolean(wrongName || wrongHours)} />
        </div>
      </form>
    </Card>
  )
}

function Secret(props: Props) {
  const [token, setToken] = useState('')
  const act = useAct()
  const wrong = token ? checkSecret(token.trim()) : undefined
  const submit = (event: FormEvent) => {
    event.preventDefault()
    void act.run(() => patch(props, { auth_token: token.trim() })).then((done) => done && setToken(''))
  }
  return (
    <Card title={t('settings.channels.newToken')} lead={t('settings.channels.newTokenLead')}>
      <form onSubmit={submit} className="space-y-4 p-4">
        <TextField
          label={t('settings.channels.token')}
          type="password"
          dir="ltr"
          autoComplete="off"
          value={token}
          onChange={setToken}
          error={wrong && t(wrong)}
        />
        <Submit act={act} label={t('settings.channels.replace')} disabled={!token || wrong !== undefined} />
      </form>
    </Card>
  )
}

function Origins(props: Props) {
  const [text, setText] = useState(() => props.channel.web_chat?.allowed_origins.join('\n') ?? '')
  const act = useAct()
  const { list, wrong } = origins(text)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    void act.run(() => patch(props, { allowed_origins: list }))
  }
  return (
    <Card title={t('settings.channels.origins')}>
      <form onSubmit={submit} className="space-y-4 p-4">
        <TextArea
          label={t('settings.channels.origins')}
          hint={t('settings.channels.originsHint')}
          dir="ltr"
          placeholder="https://shop.example"
          value={text}
          onChange={setText}
          error={wrong && t('settings.check.origin', { origin: wrong })}
        />
        <Submit act={act} label={t('settings.save')} disabled={list.length === 0 || Boolean(wrong)} />
      </form>
    </Card>
  )
}
