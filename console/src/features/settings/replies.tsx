/** Canned replies: what is often written, with holes for names. */
import { Plus } from 'lucide-react'
import { type FormEvent, useMemo, useRef, useState } from 'react'
import { live } from '../../app/live'
import { ask, listed, useAct, useLoaded } from '../../data/ask'
import { VARIABLES, type Variable } from '../../data/variables'
import { t } from '../../i18n'
import { Button } from '../../ui/button'
import { Dialog } from '../../ui/dialog'
import { TextArea, TextField } from '../../ui/form'
import { Blank } from '../../ui/state'
import { Card, can, SectionPage, Submit, useConfirm, When } from './parts'
import { badShortcut, filled, unknown } from './template'

interface Reply {
  shortcut: string
  title?: string
  text: string
}

const PATH = '/api/v1/canned-replies'
const at = (shortcut: string) => `${PATH}/${encodeURIComponent(shortcut)}`
const MOST = 5000

/** Whom the preview is written to. */
function example(): Partial<Record<Variable, string>> {
  const { me } = live()
  const workspace = me.workspaces.find((one) => one.workspace_id === me.workspace_id)?.name ?? ''
  return {
    'contact.name': t('settings.replies.exampleName'),
    'contact.first_name': t('settings.replies.exampleName').split(' ')[0] ?? '',
    'contact.phone': '+962790000000',
    'contact.email': '',
    'agent.name': me.name,
    'agent.first_name': me.name.split(' ')[0] ?? '',
    'channel.name': t('settings.replies.exampleChannel'),
    'workspace.name': workspace,
  }
}

export function RepliesPage() {
  const loaded = useLoaded('replies', () => listed<Reply>(PATH), {
    also: ['canned'],
    enabled: can('readChannels'),
  })
  const [edited, edit] = useState<Reply | 'new'>()
  const [sought, seek] = useState('')
  const manage = can('manageLabels')
  return (
    <SectionPage
      id="replies"
      action={
        manage &&
        loaded.data && (
          <Button look="primary" className="h-9" icon={<Plus size={15} aria-hidden />} onClick={() => edit('new')}>
            {t('settings.replies.add')}
          </Button>
        )
      }
    >
      <When loaded={loaded} missing="settings.replies.missing">
        {(replies) => {
          const found = replies.filter((one) =>
            `${one.shortcut} ${one.title ?? ''} ${one.text}`.toLowerCase().includes(sought.trim().toLowerCase()),
          )
          return (
            <>
              {replies.length > 8 && <TextField label={t('settings.replies.search')} value={sought} onChange={seek} />}
              <Card>
                {found.length === 0 ? (
                  <Blank
                    title={replies.length === 0 ? t('settings.replies.empty') : t('settings.replies.none')}
                    {...(replies.length === 0 ? { hint: t('settings.replies.emptyHint') } : {})}
                  />
                ) : (
                  <ul className="divide-y divide-line">
                    {found.map((one) => (
                      <li key={one.shortcut} className="flex items-start gap-3 px-4 py-3">
                        <div className="min-w-0 flex-1">
                          <p>
                            <code className="rounded bg-sunken px-1.5 py-0.5 text-[13px]">
                              <bdi>/{one.shortcut}</bdi>
                            </code>{' '}
                            {one.title && <bdi className="font-medium">{one.title}</bdi>}
                          </p>
                          <p dir="auto" className="mt-1 line-clamp-2 aligned text-[13px] text-soft">
                            {one.text}
                          </p>
                        </div>
                        {manage && (
                          <Button
                            onClick={() => edit(one)}
                            aria-label={t('settings.replies.editName', { name: one.shortcut })}
                          >
                            {t('settings.edit')}
                          </Button>
                        )}
                      </li>
                    ))}
                  </ul>
                )}
              </Card>
            </>
          )
        }}
      </When>
      {edited && (
        <Edit
          reply={edited === 'new' ? undefined : edited}
          taken={(loaded.data ?? []).map((one) => one.shortcut)}
          close={() => edit(undefined)}
          changed={loaded.changed}
        />
      )}
    </SectionPage>
  )
}

interface EditProps {
  reply: Reply | undefined
  taken: readonly string[]
  close: () => void
  changed: () => Promise<void>
}

function Edit({ reply, taken, close, changed }: EditProps) {
  const [shortcut, setShortcut] = useState(reply?.shortcut ?? '')
  const [title, setTitle] = useState(reply?.title ?? '')
  const [text, setText] = useState(reply?.text ?? '')
  const area = useRef<HTMLDivElement>(null)
  const act = useAct()
  const [dialog, confirm] = useConfirm()
  const values = useMemo(example, [])
  const name = shortcut.trim().replace(/^\//, '')
  const renamed = reply !== undefined && name !== reply.shortcut
  const clash = taken.includes(name) && name !== reply?.shortcut
  const strange = unknown(text)
  const wrong = (shortcut && badShortcut(name)) || clash || strange.length > 0 || !text.trim() || text.length > MOST
  const finish = (job: () => Promise<unknown>) =>
    void act
      .run(async () => {
        await job()
        await changed()
      })
      .then((done) => done && close())
  const submit = (event: FormEvent) => {
    event.preventDefault()
    finish(async () => {
      await ask('PUT', at(name), { body: { text, ...(title.trim() ? { title: title.trim() } : {}) } })
      if (renamed) await ask('DELETE', at(reply.shortcut))
    })
  }
  const insert = (variable: Variable) => {
    const field = area.current?.querySelector('textarea')
    const from = field?.selectionStart ?? text.length
    const to = field?.selectionEnd ?? text.length
    const hole = `{{${variable}}}`
    setText(text.slice(0, from) + hole + text.slice(to))
    requestAnimationFrame(() => {
      field?.focus()
      field?.setSelectionRange(from + hole.length, from + hole.length)
    })
  }
  return (
    <Dialog
      open
      onOpenChange={close}
      title={reply?.shortcut ?? t('settings.replies.add')}
      closeLabel={t('settings.cancel')}
    >
      <form onSubmit={submit} className="space-y-4">
        <div className="grid gap-4 sm:grid-cols-2">
          <TextField
            label={t('settings.replies.shortcut')}
            hint={t('settings.replies.shortcutHint')}
            dir="auto"
            required
            value={shortcut}
            onChange={setShortcut}
            error={
              clash
                ? t('settings.replies.taken')
                : shortcut && badShortcut(name)
                  ? t('settings.replies.badShortcut')
                  : undefined
            }
          />
          <TextField label={t('settings.replies.name')} value={title} onChange={setTitle} maxLength={100} dir="auto" />
        </div>
        <div ref={area}>
          <TextArea
            label={t('settings.replies.text')}
            required
            dir="auto"
            rows={5}
            value={text}
            onChange={setText}
            error={strange.length > 0 ? t('settings.replies.unknown', { names: strange.join(', ') }) : undefined}
          />
          <div className="mt-2 flex flex-wrap gap-1">
            {VARIABLES.map((one) => (
              <button
                key={one}
                type="button"
                onClick={() => insert(one)}
                className="rounded border border-line bg-sunken px-1.5 py-0.5 text-xs text-soft hover:border-brand hover:text-ink"
              >
                {t(`settings.replies.var.${one}`)}
              </button>
            ))}
          </div>
        </div>
        {text && (
          <div>
            <p className="mb-1 text-[13px] font-medium">{t('settings.replies.preview')}</p>
            <p dir="auto" className="aligned whitespace-pre-wrap rounded-lg bg-own px-3 py-2">
              {filled(text, values)}
            </p>
            <p className="mt-1 text-xs text-soft">{t('settings.replies.otherwise')}</p>
          </div>
        )}
        <Submit act={act} label={t('settings.save')} disabled={!name || Boolean(wrong)}>
          {reply && (
            <Button
              look="danger"
              onClick={() =>
                confirm({
                  title: t('settings.replies.remove'),
                  text: t('settings.replies.removeText', { name: reply.shortcut }),
                  label: t('settings.remove'),
                  run: () => finish(() => ask('DELETE', at(reply.shortcut))),
                })
              }
            >
              {t('settings.remove')}
            </Button>
          )}
        </Submit>
      </form>
      {dialog}
    </Dialog>
  )
}
