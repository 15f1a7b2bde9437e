import { Bell as BellIcon } from 'lucide-react'
import { lazy, Suspense } from 'react'
import { t } from '../i18n'
import { number } from '../i18n/format'
import { Popover } from '../ui/popover'
import { Skeleton } from '../ui/state'
import { useDesk } from './live'

const Notices = lazy(() => import('./notices'))

/** What others did that concerns the reader, and how they want to hear of it. */
export function Bell() {
  const unread = useDesk((state) => state.notices.unread)
  const label = unread > 0 ? t('notices.unread', { count: unread }) : t('notices.title')
  return (
    <Popover
      label={label}
      className="relative inline-grid size-8 place-items-center rounded-md text-soft hover:bg-hover hover:text-ink"
      place="fixed inset-x-3 top-12 sm:absolute sm:inset-x-auto sm:end-0 sm:top-full sm:mt-1.5 sm:w-96"
      button={
        <>
          <BellIcon size={17} aria-hidden />
          {unread > 0 && (
            <span
              aria-hidden
              className="absolute -end-0.5 -top-0.5 grid h-4 min-w-4 place-items-center rounded-full bg-danger px-1 text-[10px] font-semibold text-panel tabular-nums"
            >
              {unread > 99 ? '99+' : number(unread)}
            </span>
          )}
        </>
      }
    >
      {(close) => (
        <Suspense fallback={<Skeleton rows={3} label={t('notices.loading')} />}>
          <Notices close={close} />
        </Suspense>
      )}
    </Popover>
  )
}
