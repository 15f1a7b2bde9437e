// biome-ignore-all lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
/** Who is in the workspace, with which role, and how much each can carry. */
import { UserPlus } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import { client, of } from '../../api/client'
import { pages, paging } from '../../api/pages'
import type { components } from '../../api/schema'
import { live, useDesk } from '../../app/live'
import { useAct, useLoaded } from '../../data/ask'
import { t } from '../../i18n'
import { number } from '../../i18n/format'
import { Button } from '../../ui/button'
import { Dialog } from '../../ui/dialog'
import { SelectField, TextField } from '../../ui/form'
import { checkCapacity, checkEmail, checkName, checkPassword } from './checks'
import { Badge, Card, can, SectionPage, Submit, useConfirm, When } from './parts'
import { mayGrant, ROLES, type Role } from './rights'

export type Member = components['schemas']['Member']

export const useMembers = () =>
  useLoaded<Member[]>('members', () => pages((cursor) => of(client.GET('/api/v1/users', paging(cursor)))), {
    also: ['agents'],
  })

const roles = () =>
  ROLES.filter((one) => mayGrant(live().me.role, one)).map((value) => ({ value, label: t(`role.${value}`) }))

export function MembersPage() {
  const loaded = useMembers()
  const [edited, edit] = useState<Member>()
  const [adding, setAdding] = useState(false)
  const manage = can('manageMembers')
  return (
    <SectionPage
      id="members"
      action={
        manage && (
          <Button
            look="primary"
            className="h-9"
            icon={<UserPlus size={15} aria-hidden />}
            onClick={() => setAdding(true)}
          >
            {t('settings.members.add')}
          </Button>
        )
      }
    >
      <When loaded={loaded}>
        {(members) => (
          <>
            <Card>
              <ul className="divide-y divide-line">
                {members
                  .filter((one) => one.active)
                  .map((one) => (
                    <Row key={one.user_id} member={one} onEdit={manage ? edit : undefined} />
                  ))}
              </ul>
            </Card>
            {members.some((one) => !one.active) && (
              <Card title={t('settings.members.left')} lead={t('settings.members.leftLead')}>
                <ul className="divide-y divide-line">
                  {members
                    .filter((one) => !one.active)
                    .map((one) => (
                      <Row key={one.user_id} member={one} onEdit={manage ? edit : undefined} />
                    ))}
                </ul>
              </Card>
            )}
          </>
        )}
      </When>
      <RoleTable />
      {adding && <Add close={() => setAdding(false)} changed={loaded.changed} />}
      {edited && <Edit key={edited.user_id} member={edited} close={() => edit(undefined)} changed={loaded.changed} />}
    </SectionPage>
  )
}

const DOT = { online: 'bg-brand', busy: 'bg-danger', away: 'bg-warn' } as const

function Row({ member, onEdit }: { member: Member; onEdit: ((member: Member) => void) | undefined }) {
  const { me } = live()
  const presence = useDesk((state) => state.presence.get(member.user_id))
  const there = presence?.connected ? presence.availability : undefined
  const reach = onEdit && mayGrant(me.role, member.role)
  return (
    <li className="flex flex-wrap items-center gap-x-3 gap-y-1 px-4 py-3">
      <span
        role="img"
        aria-label={there ? t(`presence.${there}`) : t('settings.members.offline')}
        title={there ? t(`presence.${there}`) : t('settings.members.offline')}
        className={`size-2 shrink-0 rounded-full ${there ? DOT[there] : 'bg-line-strong'}`}
      />
      <div className="min-w-0 flex-1">
        <p className="truncate font-medium">
          <bdi>{member.name}</bdi>{' '}
          {member.user_id === me.user_id && <span className="text-soft">({t('settings.members.you')})</span>}
        </p>
        <p className="truncate text-xs text-soft">
          <bdi dir="ltr">{member.email}</bdi>
        </p>
      </div>
      <Badge look={member.active ? 'plain' : 'bad'}>
        {member.active ? t(`role.${member.role}`) : t('settings.members.inactive')}
      </Badge>
      <span className="text-xs text-soft max-sm:hidden">
        {t('settings.members.carries', { count: member.capacity, shown: number(member.capacity) })}
      </span>
      {reach && (
        <Button onClick={() => onEdit(member)} aria-label={t('settings.members.editName', { name: member.name })}>
          {t('settings.edit')}
        </Button>
      )}
    </li>
  )
}

function Add({ close, changed }: { close: () => void; changed: () => Promise<void> }) {
  const [name, setName] = useState('')
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')
  const [role, setRole] = useState<Role>('agent')
  const [capacity, setCapacity] = useState('20')
  const act = useAct()
  const sound = ![checkName(name), checkEmail(email), checkPassword(password), checkCapacity(capacity)].some(Boolean)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    const body = { name: name.trim(), email: email.trim(), password, role, capacity: Number(capacity) }
    void act
      .run(async () => {
        await of(client.POST('/api/v1/users', { body }))
        await changed()
      })
      .then((made) => made && close())
  }
  return (
    <Dialog open onOpenChange={close} title={t('settings.members.add')} closeLabel={t('settings.cancel')}>
      <form onSubmit={submit} className="space-y-4">
        <TextField label={t('settings.members.name')} required value={name} onChange={setName} autoComplete="off" />
        <TextField
          label={t('settings.members.email')}
          type="email"
          dir="ltr"
          required
          autoComplete="off"
          value={email}
          onChange={setEmail}
          error={email && checkEmail(email) ? t('settings.check.email') : undefined}
        />
        <TextField
          label={t('settings.members.password')}
          type="text"
          dir="ltr"
          required
          autoComplete="new-password"
          spellCheck={false}
          value={password}
          onChange={setPassword}
          hint={t('settings.members.passwordHint')}
          error={password && checkPassword(password) ? t('settings.check.password') : undefined}
        />
        <div className="grid gap-4 sm:grid-cols-2">
          <SelectField label={t('settings.members.role')} value={role} onChange={setRole} choices={roles()} />
          <Capacity value={capacity} onChange={setCapacity} />
        </div>
        <Submit act={act} label={t('settings.members.add')} disabled={!sound} />
      </form>
    </Dialog>
  )
}

function Capacity({ value, onChange }: { value: string; onChange: (text: string) => void }) {
  const wrong = checkCapacity(value)
  return (
    <TextField
      label={t('settings.members.capacity')}
      hint={t('settings.members.capacityHint')}
      inputMode="numeric"
      value={value}
      onChange={onChange}
      error={wrong && t(wrong)}
    />
  )
}

function Edit({ member, close, changed }: { member: Member; close: () => void; changed: () => Promise<void> }) {
  const [name, setName] = useState(member.name)
  const [role, setRole] = useState<Role>(member.role)
  const [capacity, setCapacity] = useState(String(member.capacity))
  const act = useAct()
  const [dialog, confirm] = useConfirm()
  const self = member.user_id === live().me.user_id
  const change = (body: components['schemas']['MemberChange']) =>
    void act
      .run(async () => {
        const params = { path: { user_id: member.user_id } }
        await of(client.PATCH('/api/v1/users/{user_id}', { params, body }))
        await changed()
      })
      .then((done) => done && close())
  const submit = (event: FormEvent) => {
    event.preventDefault()
    change({ name: name.trim(), capacity: Number(capacity), ...(role === member.role ? {} : { role }) })
  }
  return (
    <Dialog open onOpenChange={close} title={member.name} closeLabel={t('settings.cancel')}>
      <form onSubmit={submit} className="space-y-4">
        <TextField label={t('settings.members.name')} required value={name} onChange={setName} />
        <div className="grid gap-4 sm:grid-cols-2">
          <SelectField
            label={t('settings.members.role')}
            value={role}
            onChange={setRole}
            choices={roles()}
            disabled={self}
          />
          <Capacity value={capacity} onChange={setCapacity} />
        </div>
        <Submit act={act} label={t('settings.save')} disabled={Boolean(checkName(name) || checkCapacity(capacity))}>
          {!self && member.active && (
            <Button
              look="danger"
              disabled={act.busy}
              onClick={() =>
                confirm({
                  title: t('settings.members.remove'),
                  text: t('settings.members.removeText', { name: member.name }),
                  label: t('settings.members.remove'),
                  run: () => change({ active: false }),
                })
              }
            >
              {t('settings.members.remove')}
            </Button>
          )}
          {!member.active && (
            <Button disabled={act.busy} onClick={() => change({ active: true })}>
              {t('settings.members.back')}
            </Button>
          )}
        </Submit>
      </form>
      {dialog}
    </Dialog>
  )
}

const CAN = [
  ['settings.roles.answer', ['owner', 'admin', 'manager', 'agent']],
  ['settings.roles.seeAll', ['owner', 'admin', 'manager']],
  ['settings.roles.board', ['owner', 'admin', 'manager', 'analyst']],
  ['settings.roles.labels', ['owner', 'admin', 'manager']],
  ['settings.roles.people', ['owner', 'admin']],
  ['settings.roles.workspace', ['owner']],
] as const

/** What each role may do, so that nobody has to try. */
function RoleTable() {
  return (
    <Card title={t('settings.roles.title')} lead={t('settings.roles.lead')}>
      <section className="relative overflow-x-auto" aria-label={t('settings.roles.title')} tabIndex={0}>
        <table className="w-full min-w-lg text-[13px]">
          <thead>
            <tr className="text-soft">
              <td />
              {ROLES.map((one) => (
                <th key={one} scope="col" className="px-2 py-2 text-center font-medium">
                  {t(`role.${one}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {CAN.map(([what, who]) => (
              <tr key={what} className="border-t border-line">
                <th scope="row" className="px-4 py-2 text-start font-normal">
                  {t(what)}
                </th>
                {ROLES.map((one) => {
                  const yes = (who as readonly string[]).includes(one)
                  return (
                    <td key={one} className="px-2 text-center">
                      <span className={yes ? 'text-brand' : 'text-soft'}>
                        <span aria-hidden>{yes ? '✓' : '–'}</span>
                        <span className="sr-only">{yes ? t('settings.yes') : t('settings.no')}</span>
                      </span>
                    </td>
                  )
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </Card>
  )
}
