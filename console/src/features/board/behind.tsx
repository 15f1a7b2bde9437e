/** The conversations behind a number. */
import { Database } from 'lucide-react'
import { live, seesInbox } from '../../app/live'
import { PageLink } from '../../app/page-link'
import { useAgents } from '../../app/people'
import { amount } from '../../data/format'
import { useAsked } from '../../data/kpi'
import { packed } from '../../data/link'
import { runSql } from '../../data/sql'
import { type MessageId, t } from '../../i18n'
import { moment } from '../../i18n/format'
import { Button } from '../../ui/button'
import { Sheet } from '../../ui/sheet'
import { Blank, Skeleton } from '../../ui/state'
import { type Behind, behind, LISTED } from './drill'

const SECONDS = [
  'first_response',
  'first_response_p50',
  'first_response_p90',
  'reply_time',
  'abandoned_wait',
  'resolution_time',
  'handle_time',
]

export function BehindSheet({ what, close }: { what: Behind; close: () => void }) {
  const sql = behind(what) ?? ''
  const { data, failed, again } = useAsked(['behind', sql], () => runSql(sql), 0)
  const people = useAgents()
  const links = seesInbox(live().me)
  const shown = data?.rows ?? []
  const lead = (
    <>
      {data &&
        (shown.length >= LISTED
          ? t('board.behindMost', { count: LISTED })
          : t('board.behindCount', { count: shown.length }))}{' '}
      <a href={`/sql#${packed(sql)}`} className="inline-flex items-center gap-1 text-brand underline">
        <Database size={12} aria-hidden />
        {t('board.asSql')}
      </a>
    </>
  )
  return (
    <Sheet open onOpenChange={close} title={what.title} closeLabel={t('board.close')} lead={lead}>
      {failed && !data ? (
        <Blank title={t('error.title')} hint={t(`error.${failed.code}`)}>
          <Button onClick={again}>{t('error.retry')}</Button>
        </Blank>
      ) : !data ? (
        <Skeleton rows={5} label={t('board.loading')} />
      ) : shown.length === 0 ? (
        <Blank title={t('board.nobody')} hint={t('board.nobodyHint')} />
      ) : (
        <ul className="divide-y divide-line">
          {shown.map((row) => {
            const [id, name, address, status, assignee, , at, measured] = row as [
              string,
              string | null,
              string | null,
              string,
              string | null,
              string,
              string,
              number | undefined,
            ]
            const body = (
              <>
                <span className="flex items-baseline justify-between gap-2">
                  <bdi className="truncate font-medium">{name || address}</bdi>
                  <span className="shrink-0 text-xs text-soft">{moment(utc(at))}</span>
                </span>
                <span className="flex items-baseline justify-between gap-2 text-xs text-soft">
                  <span className="truncate">
                    {t(`status.${status}` as MessageId)} ·{' '}
                    <bdi>{assignee ? (people.get(assignee)?.name ?? '…') : t('panel.nobody')}</bdi>
                  </span>
                  {measured !== undefined && (
                    <span className="shrink-0 font-medium tabular-nums text-ink">
                      {amount(Number(measured), SECONDS.includes(what.kpi) ? 'seconds' : 'count')}
                    </span>
                  )}
                </span>
              </>
            )
            return (
              <li key={id}>
                {links ? (
                  <PageLink to={`/inbox/${id}`} className="block px-4 py-2.5 hover:bg-hover">
                    {body}
                  </PageLink>
                ) : (
                  <div className="px-4 py-2.5">{body}</div>
                )}
              </li>
            )
          })}
        </ul>
      )}
    </Sheet>
  )
}

/** SQL's instants are in UTC, written with or without saying so. */
export function utc(at: string): string {
  return /(Z|[+-]\d{2}:?\d{2})$/.test(at) ? at : `${at.replace(' ', 'T')}Z`
}
