/** The workspace: its name and its time zone; for owners, further workspaces. */
import { type FormEvent, useId, useState } from 'react'
import { client, of } from '../../api/client'
import type { components } from '../../api/schema'
import { live } from '../../app/live'
import { useAct, useLoaded } from '../../data/ask'
import { t } from '../../i18n'
import { moment } from '../../i18n/format'
import { CopyField, TextField } from '../../ui/form'
import { checkName } from './checks'
import { Card, can, SectionPage, Submit, When } from './parts'

type Workspace = components['schemas']['Workspace']

/** The time zones that this browser knows; an older one knows none, and the field takes any. */
export const zones = (): string[] => {
  const intl = Intl as typeof Intl & { supportedValuesOf?: (key: 'timeZone') => string[] }
  return ['UTC', ...(intl.supportedValuesOf?.('timeZone') ?? [])]
}

/** What the clock shows in a time zone; nothing if there is no such zone. */
export function clockIn(zone: string, now: number): string | undefined {
  try {
    return new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: '2-digit', minute: '2-digit' }).format(now)
  } catch {
    return undefined
  }
}

export const useWorkspace = () => {
  const { me } = live()
  return useLoaded<Workspace>('workspace', () =>
    of(client.GET('/api/v1/workspaces/{workspace_id}', { params: { path: { workspace_id: me.workspace_id } } })),
  )
}

export function WorkspacePage() {
  const loaded = useWorkspace()
  return (
    <SectionPage id="workspace">
      <When loaded={loaded}>
        {(workspace) => (
          <>
            <Card>
              <Form key={workspace.id} workspace={workspace} changed={loaded.changed} />
            </Card>
            <Card title={t('settings.workspace.facts')}>
              <div className="space-y-3 p-4">
                <CopyField
                  label={t('settings.workspace.id')}
                  value={workspace.id}
                  copyLabel={t('settings.copy')}
                  copiedLabel={t('settings.copied')}
                />
                <p className="text-[13px] text-soft">
                  {t('settings.workspace.since', { time: moment(workspace.created_at) })}
                </p>
              </div>
            </Card>
          </>
        )}
      </When>
      {can('manageWorkspace') && <Another />}
    </SectionPage>
  )
}

function ZoneField({
  value,
  onChange,
  disabled,
}: {
  value: string
  onChange: (zone: string) => void
  disabled?: boolean
}) {
  const list = useId()
  const time = clockIn(value, Date.now())
  return (
    <>
      <TextField
        label={t('settings.workspace.zone')}
        dir="ltr"
        list={list}
        autoComplete="off"
        spellCheck={false}
        disabled={disabled}
        value={value}
        onChange={onChange}
        hint={time && t('settings.workspace.zoneHint', { time })}
        error={time ? undefined : t('settings.check.zone')}
      />
      <datalist id={list}>
        {zones().map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
    </>
  )
}

function Form({ workspace, changed }: { workspace: Workspace; changed: () => Promise<void> }) {
  const [name, setName] = useState(workspace.name)
  const [zone, setZone] = useState(workspace.time_zone)
  const act = useAct()
  const mayChange = can('manageWorkspace')
  const wrong = checkName(name)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    const params = { path: { workspace_id: workspace.id } }
    const body = { name: name.trim(), time_zone: zone.trim() }
    void act.run(async () => {
      await of(client.PATCH('/api/v1/workspaces/{workspace_id}', { params, body }))
      await changed()
    })
  }
  const same = name === workspace.name && zone === workspace.time_zone
  return (
    <form onSubmit={submit} className="grid gap-4 p-4 sm:grid-cols-2">
      <TextField
        label={t('settings.workspace.name')}
        value={name}
        onChange={setName}
        disabled={!mayChange}
        error={wrong && t(wrong)}
      />
      <div className="grid">
        <ZoneField value={zone} onChange={setZone} disabled={!mayChange} />
      </div>
      <div className="sm:col-span-2">
        {mayChange ? (
          <Submit act={act} label={t('settings.save')} disabled={same || wrong !== undefined || !clockIn(zone, 0)} />
        ) : (
          <p className="text-[13px] text-soft">{t('settings.workspace.ownerOnly')}</p>
        )}
      </div>
    </form>
  )
}

function Another() {
  const [name, setName] = useState('')
  const [zone, setZone] = useState(Intl.DateTimeFormat().resolvedOptions().timeZone)
  const act = useAct()
  const submit = (event: FormEvent) => {
    event.preventDefault()
    const body = { name: name.trim(), time_zone: zone.trim() }
    void act.run(() => of(client.POST('/api/v1/workspaces', { body }))).then((made) => made && setName(''))
  }
  return (
    <Card title={t('settings.workspace.another')} lead={t('settings.workspace.anotherLead')}>
      <form onSubmit={submit} className="grid gap-4 p-4 sm:grid-cols-2">
        <TextField label={t('settings.workspace.name')} value={name} onChange={setName} />
        <div className="grid">
          <ZoneField value={zone} onChange={setZone} />
        </div>
        <div className="sm:col-span-2">
          <Submit
            act={act}
            label={t('settings.workspace.make')}
            saved={t('settings.workspace.made')}
            disabled={checkName(name) !== undefined || !clockIn(zone, 0)}
          />
        </div>
      </form>
    </Card>
  )
}
