import { Link } from '@tanstack/react-router'
import { Ban, Check, ChevronDown, Copy, Pencil, Plus, X } from 'lucide-react'
import { type FormEvent, memo, type ReactNode, useState } from 'react'
import { useStore } from 'zustand'
import type { Contact, Conversation } from '../../api/types'
import { useHalfMinutes } from '../../app/clock'
import { live } from '../../app/live'
import { useAgents, useChannels, useLabels, useTeams } from '../../app/people'
import { toast, toastFailure } from '../../app/toasts'
import { language, t } from '../../i18n'
import { duration, moment, number, short } from '../../i18n/format'
import { IconButton } from '../../ui/button'
import { carryOut, pickAssignee, pickLabels, pickPriority } from './actions'
import { Avatar, LabelChip, MediumIcon, PriorityIcon } from './bits'
import { changeContact, useContact, useHistory } from './contact'
import { Preview } from './list'

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex min-h-8 items-center justify-between gap-3 py-1">
      <dt className="shrink-0 text-soft">{name}</dt>
      <dd className="min-w-0 truncate text-end">{children}</dd>
    </div>
  )
}

/** A fact that can be changed: what it is, and where a press leads. */
function Choice({ label, onClick, children }: { label: string; onClick: () => void; children: ReactNode }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      onClick={onClick}
      className="inline-flex max-w-full items-center gap-1 rounded py-0.5 underline-offset-2 hover:underline"
    >
      {children}
      <ChevronDown size={13} aria-hidden className="shrink-0 text-soft" />
    </button>
  )
}

interface PanelProps {
  conversation: Conversation
  close: () => void
}

export const ContactPanel = memo(function ContactPanel({ conversation, close }: PanelProps) {
  useStore(language, (state) => state.language)
  const contact = useContact(conversation.contact_id).data
  const channel = useChannels().get(conversation.channel_id)
  return (
    <aside
      aria-label={t('panel.label')}
      className="h-full overflow-y-auto border-s border-line bg-panel p-4 text-[13px]"
    >
      <div className="mb-3 flex items-center gap-3">
        <Avatar id={conversation.contact_id} name={conversation.contact_name} />
        <div className="min-w-0 flex-1">
          <Name key={conversation.contact_id} conversation={conversation} />
          {channel && (
            <p className="flex items-center gap-1 text-xs text-soft">
              <MediumIcon medium={channel.medium} />
              <bdi className="truncate">{channel.name}</bdi>
            </p>
          )}
        </div>
        <IconButton label={t('shortcuts.close')} onClick={close} className="xl:hidden">
          <X size={16} aria-hidden />
        </IconButton>
      </div>
      {contact?.blocked && <p className="mb-2 rounded bg-danger-tint px-2 py-1 text-danger">{t('panel.blocked')}</p>}
      {contact?.opted_out?.includes(conversation.channel_id) && (
        <p className="mb-2 rounded bg-note px-2 py-1 text-warn">{t('panel.optedOut')}</p>
      )}
      <Facts conversation={conversation} contact={contact} />
      <Labels conversation={conversation} />
      <History conversation={conversation} />
      {contact && <Block contact={contact} />}
    </aside>
  )
})

/** The contact's name, which agents may set. */
function Name({ conversation }: { conversation: Conversation }) {
  const [editing, setEditing] = useState(false)
  const [name, setName] = useState('')
  const save = (event: FormEvent) => {
    event.preventDefault()
    const wanted = name.trim()
    setEditing(false)
    if (wanted && wanted !== conversation.contact_name) {
      changeContact(conversation.contact_id, { name: wanted }).catch(toastFailure)
    }
  }
  if (editing) {
    return (
      <form onSubmit={save} className="flex gap-1">
        <input
          // biome-ignore lint/a11y/noAutofocus: it was asked for by a press
          autoFocus
          aria-label={t('panel.name')}
          dir="auto"
          maxLength={200}
          value={name}
          onChange={(event) => setName(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Escape') return
            event.nativeEvent.stopImmediatePropagation()
            setEditing(false)
          }}
          className="h-7 min-w-0 flex-1 rounded border border-line-strong bg-panel px-1.5"
        />
        <button type="submit" aria-label={t('panel.saveName')} className="grid size-7 place-items-center text-brand">
          <Check size={15} aria-hidden />
        </button>
      </form>
    )
  }
  return (
    <p className="group flex items-center gap-1 text-[15px] font-semibold">
      <bdi className="truncate">{conversation.contact_name}</bdi>
      <button
        type="button"
        aria-label={t('panel.rename')}
        title={t('panel.rename')}
        onClick={() => {
          setName(conversation.contact_name)
          setEditing(true)
        }}
        className="grid size-6 shrink-0 place-items-center rounded text-soft hover:bg-hover"
      >
        <Pencil size={12} aria-hidden />
      </button>
    </p>
  )
}

function Copied({ text }: { text: string }) {
  const copy = () => {
    void navigator.clipboard
      ?.writeText(text)
      .then(() => toast({ text: t('panel.copied') }))
      .catch(() => undefined)
  }
  return (
    <button
      type="button"
      title={t('panel.copy')}
      onClick={copy}
      className="inline-flex max-w-full items-center gap-1.5 rounded py-0.5 underline-offset-2 hover:underline"
    >
      <bdi dir="ltr" className="truncate tabular-nums">
        {text}
      </bdi>
      <Copy size={12} aria-hidden className="shrink-0 text-soft" />
    </button>
  )
}

function Facts({ conversation, contact }: { conversation: Conversation; contact: Contact | undefined }) {
  const { me } = live()
  const agents = useAgents()
  const teams = useTeams()
  const now = useHalfMinutes()
  const { id, assignee, team, reply_window_until: until, first_reply_at: replied } = conversation
  const left = until ? (Date.parse(until) - now) / 1000 : undefined
  const priority = conversation.priority ?? 'normal'
  return (
    <dl className="divide-y divide-line">
      <Fact name={t('panel.address')}>
        <Copied text={conversation.contact_address} />
      </Fact>
      {contact?.email && (
        <Fact name={t('panel.email')}>
          <Copied text={contact.email} />
        </Fact>
      )}
      <Fact name={t('panel.assignee')}>
        <Choice label={t('action.assignTo')} onClick={() => pickAssignee([id])}>
          {assignee ? (
            <bdi className="truncate">
              {agents.get(assignee)?.name ?? '…'}
              {assignee === me.user_id && <span className="text-soft"> ({t('panel.you')})</span>}
            </bdi>
          ) : (
            <span className="text-soft">{t('panel.nobody')}</span>
          )}
        </Choice>
      </Fact>
      {team && (
        <Fact name={t('panel.team')}>
          <bdi>{teams.get(team)?.name ?? t('panel.teamGone')}</bdi>
        </Fact>
      )}
      <Fact name={t('panel.priority')}>
        <Choice label={t('panel.priority')} onClick={() => pickPriority([id])}>
          <PriorityIcon priority={priority} size={13} />
          {t(`priority.${priority}`)}
        </Choice>
      </Fact>
      <Fact name={t('panel.status')}>{t(`status.${conversation.status}`)}</Fact>
      <Fact name={t('panel.since')}>{moment(conversation.created_at)}</Fact>
      {replied && (
        <Fact name={t('panel.firstReply')}>
          {duration((Date.parse(replied) - Date.parse(conversation.created_at)) / 1000)}
        </Fact>
      )}
      {left !== undefined && (
        <Fact name={t('panel.window')}>
          <span className={left > 0 ? '' : 'text-danger'}>
            {left > 0 ? t('panel.windowOpen', { time: duration(left) }) : t('panel.windowClosed')}
          </span>
        </Fact>
      )}
      <Fact name={t('panel.messages')}>{number(conversation.last_seq)}</Fact>
    </dl>
  )
}

const TITLE = 'mb-1.5 mt-4 text-xs font-semibold text-soft'

function Labels({ conversation }: { conversation: Conversation }) {
  const labels = useLabels()
  const { id } = conversation
  return (
    <section>
      <h2 className={TITLE}>{t('panel.labels')}</h2>
      <div className="flex flex-wrap items-center gap-1">
        {conversation.labels?.map((label) => (
          <span key={label} className="inline-flex items-center rounded bg-sunken">
            <LabelChip name={label} color={labels.get(label)?.color} />
            <button
              type="button"
              aria-label={t('label.remove', { name: label })}
              onClick={() => void carryOut([id], { labels: { remove: [label] } })}
              className="grid size-6 place-items-center rounded text-soft hover:text-danger"
            >
              <X size={11} aria-hidden />
            </button>
          </span>
        ))}
        <button
          type="button"
          onClick={() => pickLabels([id])}
          className="inline-flex h-6 items-center gap-1 rounded px-1.5 text-xs text-soft hover:bg-hover hover:text-ink"
        >
          <Plus size={13} aria-hidden />
          {t('label.add')}
        </button>
      </div>
    </section>
  )
}

/** The contact's other conversations. */
function History({ conversation }: { conversation: Conversation }) {
  const { me } = live()
  const now = useHalfMinutes()
  const asked = useHistory(conversation.contact_id)
  const others = asked.data?.filter((one) => one.id !== conversation.id) ?? []
  return (
    <section>
      <h2 className={TITLE}>{t('panel.history')}</h2>
      {asked.isError && <p className="text-soft">{t('error.unreachable')}</p>}
      {asked.isSuccess && others.length === 0 && <p className="text-soft">{t('panel.noHistory')}</p>}
      <ul className="space-y-0.5">
        {others.map((one) => (
          <li key={one.id}>
            <Link
              to="/inbox/$conversationId"
              params={{ conversationId: one.id }}
              search={({ at: _at, ...old }) => old}
              className="-mx-2 block rounded-md px-2 py-1.5 hover:bg-hover"
            >
              <span className="flex justify-between gap-2 text-xs text-soft">
                <span>{t(`status.${one.status}`)}</span>
                <time dateTime={one.last_activity_at}>{short(one.last_activity_at, now)}</time>
              </span>
              <span className="flex gap-1">
                <Preview conversation={one} me={me.user_id} />
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </section>
  )
}

function Block({ contact }: { contact: Contact }) {
  const block = () => {
    const blocked = !contact.blocked
    changeContact(contact.id, { blocked })
      .then(() => {
        const back = () => void changeContact(contact.id, { blocked: !blocked }).catch(toastFailure)
        toast({
          text: t(blocked ? 'did.blocked' : 'did.unblocked'),
          action: { label: t('action.undo'), run: back },
        })
      })
      .catch(toastFailure)
  }
  return (
    <button
      type="button"
      onClick={block}
      title={t('panel.blockHint')}
      className="-mx-2 mt-4 inline-flex h-8 items-center gap-2 rounded-md px-2 text-soft hover:bg-hover hover:text-danger"
    >
      <Ban size={14} aria-hidden />
      {t(contact.blocked ? 'panel.unblock' : 'panel.block')}
    </button>
  )
}
