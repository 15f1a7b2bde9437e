import type { ReactNode } from 'react'
import type { Conversation } from '../../api/types'
import { useHalfMinutes } from '../../app/clock'
import { live } from '../../app/live'
import { useAgents, useChannels, useLabels } from '../../app/people'
import { t } from '../../i18n'
import { duration, moment, number } from '../../i18n/format'
import { Avatar, LabelChip, MediumIcon } from './bits'

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex items-baseline justify-between gap-3 py-1.5">
      <dt className="shrink-0 text-soft">{name}</dt>
      <dd className="min-w-0 truncate text-end">{children}</dd>
    </div>
  )
}

export function ContactPanel({ conversation }: { conversation: Conversation }) {
  const { me } = live()
  const agents = useAgents()
  const channel = useChannels().get(conversation.channel_id)
  const labels = useLabels()
  const now = useHalfMinutes()
  const { assignee, reply_window_until: until, first_reply_at: replied } = conversation
  const left = until ? (Date.parse(until) - now) / 1000 : undefined
  return (
    <aside
      aria-label={t('panel.label')}
      className="h-full overflow-y-auto border-s border-line bg-panel p-4 text-[13px]"
    >
      <div className="mb-4 flex items-center gap-3">
        <Avatar id={conversation.contact_id} name={conversation.contact_name} />
        <div className="min-w-0">
          <p className="truncate text-[15px] font-semibold">
            <bdi>{conversation.contact_name}</bdi>
          </p>
          {channel && (
            <p className="flex items-center gap-1 text-xs text-soft">
              <MediumIcon medium={channel.medium} />
              <bdi>{channel.name}</bdi>
            </p>
          )}
        </div>
      </div>
      <dl className="divide-y divide-line">
        <Fact name={t('panel.address')}>
          <bdi dir="ltr" className="select-all tabular-nums">
            {conversation.contact_address}
          </bdi>
        </Fact>
        <Fact name={t('panel.assignee')}>
          {assignee ? (
            <bdi>
              {agents.get(assignee)?.name ?? '…'}{' '}
              {assignee === me.user_id && <span className="text-soft">({t('panel.you')})</span>}
            </bdi>
          ) : (
            <span className="text-soft">{t('panel.nobody')}</span>
          )}
        </Fact>
        <Fact name={t('panel.status')}>{t(`status.${conversation.status}`)}</Fact>
        <Fact name={t('panel.priority')}>{t(`priority.${conversation.priority ?? 'normal'}`)}</Fact>
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
      <h3 className="mb-1.5 mt-4 text-soft">{t('panel.labels')}</h3>
      <div className="flex flex-wrap gap-1">
        {conversation.labels?.length ? (
          conversation.labels.map((label) => <LabelChip key={label} name={label} color={labels.get(label)?.color} />)
        ) : (
          <span className="text-soft">{t('panel.noLabels')}</span>
        )}
      </div>
    </aside>
  )
}
