/** What the pages of the settings are built of. */
import { AlertTriangle, ChevronLeft, Lock } from 'lucide-react'
import { type ReactNode, useState } from 'react'
import type { Failure } from '../../api/client'
import { live } from '../../app/live'
import { PageLink } from '../../app/page-link'
import type { Act, Loaded } from '../../data/ask'
import { type MessageId, t } from '../../i18n'
import { Button } from '../../ui/button'
import { Dialog } from '../../ui/dialog'
import { Blank, Skeleton } from '../../ui/state'
import { may, type Right } from './rights'
import { SECTIONS, type SectionId } from './sections'

export const can = (right: Right): boolean => may(live().me.role, right)

/** A page of the settings, for those who may see it. */
export function SectionPage({
  id,
  title,
  lead,
  back,
  action,
  children,
}: {
  id: SectionId
  title?: ReactNode
  lead?: ReactNode
  /** The page above this one. */
  back?: string
  action?: ReactNode
  children: ReactNode
}) {
  const section = SECTIONS.find((one) => one.id === id)
  if (!section) return null
  if (!can(section.right)) {
    return <Blank icon={<Lock aria-hidden />} title={t('error.forbidden')} hint={t('settings.forbidden')} />
  }
  return (
    <div className="mx-auto max-w-3xl space-y-5 p-4 pb-16 sm:p-8">
      <header className="space-y-1">
        <PageLink
          to={back ?? '/settings'}
          className={`inline-flex items-center gap-1 text-[13px] text-soft hover:text-ink ${back ? '' : 'md:hidden'}`}
        >
          <ChevronLeft size={15} aria-hidden className="rtl:-scale-x-100" />
          {back ? t(section.title) : t('settings.title')}
        </PageLink>
        <div className="flex flex-wrap items-center justify-between gap-3">
          <h1 className="text-xl font-semibold">{title ?? t(section.title)}</h1>
          {action}
        </div>
        <p className="max-w-prose text-soft">{lead ?? t(section.lead)}</p>
      </header>
      {children}
    </div>
  )
}

export function Card({ title, lead, children }: { title?: string; lead?: ReactNode; children: ReactNode }) {
  return (
    <section className="rounded-xl border border-line bg-panel">
      {title && (
        <div className="border-b border-line px-4 py-3">
          <h2 className="font-semibold">{title}</h2>
          {lead && <p className="mt-0.5 text-[13px] text-soft">{lead}</p>}
        </div>
      )}
      {children}
    </section>
  )
}

/** What was loaded; or that it is being loaded, or why it is not there. */
export function When<T>({
  loaded,
  children,
  missing,
}: {
  loaded: Loaded<T>
  children: (data: T) => ReactNode
  /** What to say where this hub does not have it. */
  missing?: MessageId
}) {
  if (loaded.data !== undefined) return <>{children(loaded.data)}</>
  if (!loaded.failed) return <Skeleton rows={4} label={t('settings.loading')} />
  if (missing && (loaded.failed.code === 'not_found' || loaded.failed.code === 'method_not_allowed')) {
    return (
      <Card>
        <Blank title={t(missing)} hint={t('settings.missingHint')} />
      </Card>
    )
  }
  return (
    <Blank icon={<AlertTriangle aria-hidden />} title={t('error.title')} hint={t(`error.${loaded.failed.code}`)}>
      {loaded.failed.code !== 'forbidden' && <Button onClick={loaded.again}>{t('error.retry')}</Button>}
    </Blank>
  )
}

/** Why a change was refused: our sentence, and the hub's own with the request's id for whoever looks into it. */
export function Refused({ failed }: { failed: Failure | undefined }) {
  if (!failed) return null
  const wrongs = failed.fields
  return (
    <div role="alert" className="rounded-md bg-danger-tint px-3 py-2 text-[13px] text-danger">
      <p className="font-medium">{t(`error.${failed.code}`)}</p>
      <ul dir="ltr" className="text-start text-xs opacity-90">
        {wrongs.length === 0 && <li className="aligned">{failed.message}</li>}
        {wrongs.map((one) => (
          <li key={one.path + one.message} className="aligned">
            <code>{one.path}</code>: {one.message}
          </li>
        ))}
      </ul>
    </div>
  )
}

/** The end of a form: its button, and what came of it. */
export function Submit({
  act,
  label,
  saved,
  disabled,
  children,
}: {
  act: Act
  label: string
  saved?: string
  disabled?: boolean
  children?: ReactNode
}) {
  return (
    <div className="space-y-3">
      <Refused failed={act.failed} />
      <div className="flex flex-wrap items-center gap-3">
        <Button type="submit" look="primary" className="h-9 px-4" disabled={act.busy || disabled}>
          {act.busy ? t('settings.saving') : label}
        </Button>
        {children}
        <span role="status" className="text-[13px] text-brand">
          {act.done && !act.busy ? (saved ?? t('settings.saved')) : ''}
        </span>
      </div>
    </div>
  )
}

/** Asks before something that cannot be taken back. */
export function useConfirm(): [ReactNode, (ask: Ask) => void] {
  const [asked, ask] = useState<Ask>()
  const dialog = asked && (
    <Dialog open onOpenChange={() => ask(undefined)} title={asked.title} closeLabel={t('settings.cancel')}>
      <p className="mb-4 text-soft">{asked.text}</p>
      <div className="flex justify-end gap-2">
        <Button onClick={() => ask(undefined)}>{t('settings.cancel')}</Button>
        <Button
          look="danger"
          className="border border-danger"
          onClick={() => {
            ask(undefined)
            asked.run()
          }}
        >
          {asked.label}
        </Button>
      </div>
    </Dialog>
  )
  return [dialog, ask]
}

export interface Ask {
  title: string
  text: ReactNode
  label: string
  run: () => void
}

export function Badge({ look = 'plain', children }: { look?: 'plain' | 'good' | 'bad' | 'warn'; children: ReactNode }) {
  const looks = {
    plain: 'bg-sunken text-soft',
    good: 'bg-tint text-brand',
    bad: 'bg-danger-tint text-danger',
    warn: 'bg-note text-warn',
  }
  return (
    <span className={`inline-flex items-center rounded px-1.5 py-0.5 text-xs font-medium ${looks[look]}`}>
      {children}
    </span>
  )
}
