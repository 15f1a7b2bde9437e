/** A web chat channel's widget: the line for the customer's pages, how it looks, what it asks before the first message. */
import { type FormEvent, useId, useState } from 'react'
import type { components } from '../../api/schema'
import { type Act, useAct } from '../../data/ask'
import { t } from '../../i18n'
import { CopyButton, SelectField, TextArea, TextField } from '../../ui/form'
import type { ChannelView } from './channels'
import { Card, Submit } from './parts'

type Settings = components['schemas']['WidgetSettings']
type Field = components['schemas']['VisitorField']
/** Whether a field is asked for, and whether it must be answered. */
type Asked = 'no' | 'may' | 'must'

const FIELDS: readonly Field[] = ['name', 'email', 'phone']
/** What a colour field shows while the widget has the hub's own colour. */
const OWN_COLOR = '#12715b'

export const snippetOf = (hub: string, channel: string): string =>
  `<script async src="${hub}/widget.js" data-channel="${channel}"></script>`

/** The one line that a page needs. */
export function Snippet({ channel }: { channel: ChannelView }) {
  const snippet = snippetOf(location.origin, channel.id)
  return (
    <Card title={t('settings.widget.snippet')} lead={t('settings.widget.snippetLead')}>
      <div className="space-y-3 p-4">
        <pre dir="ltr" className="overflow-x-auto whitespace-pre-wrap break-all rounded-md bg-sunken p-3 text-[12.5px]">
          <code>{snippet}</code>
        </pre>
        <CopyButton value={snippet} label={t('settings.copy')} copiedLabel={t('settings.copied')} />
        <p className="text-xs text-soft">{t('settings.widget.snippetMore')}</p>
      </div>
    </Card>
  )
}

const askedIn = (settings: Settings, field: Field): Asked => {
  const found = settings.ask?.find((one) => one.field === field)
  return !found ? 'no' : found.required ? 'must' : 'may'
}

export function Appearance({
  channel,
  save,
}: {
  channel: ChannelView
  save: (act: Act, settings: Settings) => Promise<unknown>
}) {
  const given = channel.web_chat?.widget ?? {}
  const [title, setTitle] = useState(given.title ?? '')
  const [greeting, setGreeting] = useState(given.greeting ?? '')
  const [color, setColor] = useState(given.color ?? undefined)
  const [position, setPosition] = useState(given.position ?? 'end')
  const [theme, setTheme] = useState(given.theme ?? 'auto')
  const [asked, setAsked] = useState(() => FIELDS.map((field) => [field, askedIn(given, field)] as const))
  const act = useAct()
  const colorId = useId()
  const submit = (event: FormEvent) => {
    event.preventDefault()
    const ask = asked.filter(([, how]) => how !== 'no').map(([field, how]) => ({ field, required: how === 'must' }))
    void save(act, {
      position,
      theme,
      ask,
      ...(title.trim() ? { title: title.trim() } : {}),
      ...(greeting.trim() ? { greeting: greeting.trim() } : {}),
      ...(color ? { color } : {}),
    })
  }
  return (
    <Card title={t('settings.widget.look')} lead={t('settings.widget.lookLead')}>
      <form onSubmit={submit} className="grid gap-4 p-4 sm:grid-cols-2">
        <TextField
          label={t('settings.widget.name')}
          hint={t('settings.widget.nameHint')}
          value={title}
          onChange={setTitle}
          maxLength={60}
        />
        <div className="grid content-start gap-1.5">
          <label htmlFor={colorId} className="text-[13px] font-medium">
            {t('settings.widget.color')}
          </label>
          <div className="flex items-center gap-3">
            <input
              id={colorId}
              type="color"
              value={color ?? OWN_COLOR}
              onChange={(event) => setColor(event.target.value)}
              className="h-9 w-16 rounded-md border border-line-strong bg-panel"
            />
            {color && (
              <button
                type="button"
                className="min-h-6 text-[13px] text-soft underline"
                onClick={() => setColor(undefined)}
              >
                {t('settings.widget.ownColor')}
              </button>
            )}
          </div>
        </div>
        <TextArea
          className="sm:col-span-2"
          label={t('settings.widget.greeting')}
          hint={t('settings.widget.nameHint')}
          value={greeting}
          onChange={setGreeting}
          maxLength={500}
        />
        <SelectField
          label={t('settings.widget.position')}
          value={position}
          onChange={setPosition}
          choices={(['end', 'start'] as const).map((value) => ({ value, label: t(`settings.widget.at.${value}`) }))}
        />
        <SelectField
          label={t('settings.widget.theme')}
          value={theme}
          onChange={setTheme}
          choices={(['auto', 'light', 'dark'] as const).map((value) => ({
            value,
            label: t(`settings.widget.theme.${value}`),
          }))}
        />
        <fieldset className="sm:col-span-2">
          <legend className="mb-2 text-[13px] font-medium">{t('settings.widget.ask')}</legend>
          <div className="grid gap-4 sm:grid-cols-3">
            {asked.map(([field, how]) => (
              <SelectField
                key={field}
                label={t(`settings.widget.field.${field}`)}
                value={how}
                onChange={(next) => setAsked(asked.map((one) => (one[0] === field ? [field, next] : one)))}
                choices={(['no', 'may', 'must'] as const).map((value) => ({
                  value,
                  label: t(`settings.widget.asked.${value}`),
                }))}
              />
            ))}
          </div>
        </fieldset>
        <div className="sm:col-span-2">
          <Submit act={act} label={t('settings.save')} />
        </div>
      </form>
    </Card>
  )
}
