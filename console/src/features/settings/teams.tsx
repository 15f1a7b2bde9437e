/** Teams: who works together, so that a conversation can be given to all of them. */
import { Plus } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import { ask, listed, useAct, useLoaded } from '../../data/ask'
import { t } from '../../i18n'
import { Button } from '../../ui/button'
import { Dialog } from '../../ui/dialog'
import { TextField } from '../../ui/form'
import { Blank } from '../../ui/state'
import { checkName } from './checks'
import { useMembers } from './members'
import { Card, can, SectionPage, Submit, useConfirm, When } from './parts'

interface Team {
  id: string
  name: string
  members: string[]
}

const PATH = '/api/v1/teams'

export function TeamsPage() {
  const loaded = useLoaded('teams', () => listed<Team>(PATH), { also: ['teams'] })
  const people = useMembers().data ?? []
  const [edited, edit] = useState<Team | 'new'>()
  const manage = can('manageMembers')
  const named = (id: string) => people.find((one) => one.user_id === id)?.name ?? id.slice(0, 8)
  return (
    <SectionPage
      id="teams"
      action={
        manage &&
        loaded.data && (
          <Button look="primary" className="h-9" icon={<Plus size={15} aria-hidden />} onClick={() => edit('new')}>
            {t('settings.teams.add')}
          </Button>
        )
      }
    >
      <When loaded={loaded} missing="settings.teams.missing">
        {(teams) => (
          <Card>
            {teams.length === 0 ? (
              <Blank title={t('settings.teams.empty')} hint={t('settings.teams.emptyHint')} />
            ) : (
              <ul className="divide-y divide-line">
                {teams.map((team) => (
                  <li key={team.id} className="flex items-center gap-3 px-4 py-3">
                    <div className="min-w-0 flex-1">
                      <p className="font-medium">
                        <bdi>{team.name}</bdi>
                      </p>
                      <p className="truncate text-xs text-soft">
                        {team.members.length === 0
                          ? t('settings.teams.nobody')
                          : team.members.map((id) => named(id)).join(t('settings.and'))}
                      </p>
                    </div>
                    {manage && (
                      <Button onClick={() => edit(team)} aria-label={t('settings.teams.editName', { name: team.name })}>
                        {t('settings.edit')}
                      </Button>
                    )}
                  </li>
                ))}
              </ul>
            )}
          </Card>
        )}
      </When>
      {edited && (
        <Edit
          team={edited === 'new' ? undefined : edited}
          people={people.filter((one) => one.active && one.role !== 'analyst')}
          close={() => edit(undefined)}
          changed={loaded.changed}
        />
      )}
    </SectionPage>
  )
}

interface EditProps {
  team: Team | undefined
  people: { user_id: string; name: string }[]
  close: () => void
  changed: () => Promise<void>
}

function Edit({ team, people, close, changed }: EditProps) {
  const [name, setName] = useState(team?.name ?? '')
  const [members, setMembers] = useState<ReadonlySet<string>>(new Set(team?.members ?? []))
  const act = useAct()
  const [dialog, confirm] = useConfirm()
  const change = (method: string, path: string, body?: unknown) =>
    void act
      .run(async () => {
        await ask(method, path, body === undefined ? {} : { body })
        await changed()
      })
      .then((done) => done && close())
  const submit = (event: FormEvent) => {
    event.preventDefault()
    change(team ? 'PATCH' : 'POST', team ? `${PATH}/${team.id}` : PATH, { name: name.trim(), members: [...members] })
  }
  const toggle = (id: string) => {
    const next = new Set(members)
    if (!next.delete(id)) next.add(id)
    setMembers(next)
  }
  return (
    <Dialog open onOpenChange={close} title={team?.name ?? t('settings.teams.add')} closeLabel={t('settings.cancel')}>
      <form onSubmit={submit} className="space-y-4">
        <TextField label={t('settings.teams.name')} required value={name} onChange={setName} />
        <fieldset>
          <legend className="mb-1.5 text-[13px] font-medium">{t('settings.teams.members')}</legend>
          <ul className="max-h-56 overflow-y-auto rounded-md border border-line">
            {people.map((one) => (
              <li key={one.user_id}>
                <label className="flex cursor-pointer items-center gap-2.5 px-3 py-1.5 hover:bg-hover">
                  <input
                    type="checkbox"
                    className="size-4 accent-brand"
                    checked={members.has(one.user_id)}
                    onChange={() => toggle(one.user_id)}
                  />
                  <bdi>{one.name}</bdi>
                </label>
              </li>
            ))}
          </ul>
        </fieldset>
        <Submit act={act} label={t('settings.save')} disabled={checkName(name) !== undefined}>
          {team && (
            <Button
              look="danger"
              onClick={() =>
                confirm({
                  title: t('settings.teams.remove'),
                  text: t('settings.teams.removeText', { name: team.name }),
                  label: t('settings.teams.remove'),
                  run: () => change('DELETE', `${PATH}/${team.id}`),
                })
              }
            >
              {t('settings.teams.remove')}
            </Button>
          )}
        </Submit>
      </form>
      {dialog}
    </Dialog>
  )
}
