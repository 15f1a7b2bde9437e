/** The labels that conversations can be given, and their colours. */
import { type FormEvent, useState } from 'react'
import { client, of } from '../../api/client'
import { pages, paging } from '../../api/pages'
import type { Label } from '../../api/types'
import { useAct, useLoaded } from '../../data/ask'
import { t } from '../../i18n'
import { Button } from '../../ui/button'
import { TextField } from '../../ui/form'
import { Blank } from '../../ui/state'
import { Card, can, Refused, SectionPage, Submit, useConfirm, When } from './parts'

/** Colours that can be told apart and read beside text, in both themes. */
const COLORS = [
  '#12715b',
  '#2563a8',
  '#83418c',
  '#b3261e',
  '#b45f06',
  '#8a7a00',
  '#3f7d20',
  '#0f7b8a',
  '#56635f',
] as const

const put = (name: string, color: string) =>
  of(client.PUT('/api/v1/labels/{name}', { params: { path: { name } }, body: { color } }))

export function LabelsPage() {
  const loaded = useLoaded<Label[]>(
    'labels',
    () => pages((cursor) => of(client.GET('/api/v1/labels', paging(cursor)))),
    {
      also: ['labels'],
    },
  )
  const act = useAct()
  const [dialog, confirm] = useConfirm()
  const manage = can('manageLabels')
  const change = (job: () => Promise<unknown>) => void act.run(job).then(loaded.changed)
  return (
    <SectionPage id="labels">
      <When loaded={loaded}>
        {(labels) => (
          <>
            {manage && <Add known={labels} changed={loaded.changed} />}
            <Card>
              {labels.length === 0 ? (
                <Blank title={t('settings.labels.empty')} hint={t('settings.labels.emptyHint')} />
              ) : (
                <ul className="divide-y divide-line">
                  {labels.map((label) => (
                    <li key={label.name} className="flex flex-wrap items-center gap-3 px-4 py-2.5">
                      <Dot color={label.color ?? undefined} />
                      <bdi className="min-w-24 flex-1 truncate font-medium">{label.name}</bdi>
                      {manage && (
                        <>
                          <Colors
                            value={label.color ?? undefined}
                            label={t('settings.labels.colorOf', { name: label.name })}
                            onChange={(color) => change(() => put(label.name, color))}
                          />
                          <Button
                            look="danger"
                            disabled={act.busy}
                            aria-label={t('settings.labels.removeName', { name: label.name })}
                            onClick={() =>
                              confirm({
                                title: t('settings.labels.removeName', { name: label.name }),
                                text: t('settings.labels.removeText'),
                                label: t('settings.remove'),
                                run: () =>
                                  change(() =>
                                    of(
                                      client.DELETE('/api/v1/labels/{name}', {
                                        params: { path: { name: label.name } },
                                      }),
                                    ),
                                  ),
                              })
                            }
                          >
                            {t('settings.remove')}
                          </Button>
                        </>
                      )}
                    </li>
                  ))}
                </ul>
              )}
            </Card>
          </>
        )}
      </When>
      <Refused failed={act.failed} />
      {dialog}
    </SectionPage>
  )
}

function Dot({ color }: { color: string | undefined }) {
  return (
    <span
      aria-hidden
      className="size-3 shrink-0 rounded-full bg-brand"
      style={color ? { backgroundColor: color } : {}}
    />
  )
}

function Colors({
  value,
  label,
  onChange,
}: {
  value: string | undefined
  label: string
  onChange: (color: string) => void
}) {
  return (
    <fieldset className="flex gap-0.5">
      <legend className="sr-only">{label}</legend>
      {COLORS.map((color, place) => (
        <button
          key={color}
          type="button"
          aria-pressed={value?.toLowerCase() === color}
          aria-label={t('settings.labels.color', { number: place + 1 })}
          onClick={() => onChange(color)}
          className="grid size-6 place-items-center rounded-full aria-pressed:ring-2 aria-pressed:ring-line-strong"
        >
          <span className="size-3.5 rounded-full" style={{ backgroundColor: color }} />
        </button>
      ))}
    </fieldset>
  )
}

function Add({ known, changed }: { known: readonly Label[]; changed: () => Promise<void> }) {
  const [name, setName] = useState('')
  const [color, setColor] = useState<string>(COLORS[0])
  const act = useAct()
  const taken = known.some((one) => one.name === name.trim())
  const submit = (event: FormEvent) => {
    event.preventDefault()
    void act
      .run(async () => {
        await put(name.trim(), color)
        await changed()
      })
      .then((made) => made && setName(''))
  }
  return (
    <Card title={t('settings.labels.add')}>
      <form onSubmit={submit} className="space-y-4 p-4">
        <div className="flex flex-wrap items-end gap-4">
          <TextField
            className="min-w-48 flex-1"
            label={t('settings.labels.name')}
            value={name}
            onChange={setName}
            maxLength={50}
            error={taken ? t('settings.labels.taken') : undefined}
          />
          <div className="pb-1.5">
            <Colors value={color} label={t('settings.labels.colorNew')} onChange={setColor} />
          </div>
        </div>
        <Submit act={act} label={t('settings.labels.add')} disabled={!name.trim() || taken} />
      </form>
    </Card>
  )
}
