import { AtSign, BellOff, CheckCheck, UserCheck } from 'lucide-react'
import { useEffect, useState } from 'react'
import { useStore } from 'zustand'
import type { Notification as Notice } from '../api/types'
import { t } from '../i18n'
import { isolated, short } from '../i18n/format'
import { Button } from '../ui/button'
import { Blank, Skeleton } from '../ui/state'
import { Switch } from '../ui/switch'
import { useHalfMinutes } from './clock'
import { live, useDesk } from './live'
import { chime, wishes, wishFor } from './notify'
import { useAgents } from './people'
import { go } from './router'
import { toastFailure } from './toasts'

export default function Notices({ close }: { close: () => void }) {
  const { desk } = live()
  const notices = useDesk((state) => state.notices)
  useEffect(() => {
    if (desk.state.notices.state !== 'ready') void desk.loadNotices().catch(() => undefined)
  }, [desk])
  const newest = notices.items[0]?.number
  return (
    <>
      <div className="flex items-center gap-2 border-b border-line px-4 py-2.5">
        <h2 className="flex-1 text-[15px] font-semibold">{t('notices.title')}</h2>
        {notices.unread > 0 && newest !== undefined && (
          <Button
            look="quiet"
            icon={<CheckCheck size={15} aria-hidden />}
            onClick={() => void desk.readNotices({ up_to: newest }).catch(toastFailure)}
          >
            {t('notices.readAll')}
          </Button>
        )}
      </div>
      <div className="max-h-[50vh] overflow-y-auto">
        <List close={close} />
      </div>
      <Wishes />
    </>
  )
}

function List({ close }: { close: () => void }) {
  const { desk } = live()
  const { items, state, next } = useDesk((all) => all.notices)
  if (items.length === 0 && state === 'loading') return <Skeleton rows={3} label={t('notices.loading')} />
  if (items.length === 0 && state === 'failed') {
    return (
      <Blank title={t('error.unreachable')}>
        <Button onClick={() => void desk.loadNotices().catch(toastFailure)}>{t('error.retry')}</Button>
      </Blank>
    )
  }
  if (items.length === 0) {
    const icon = <BellOff size={26} aria-hidden className="text-line-strong" />
    return <Blank icon={icon} title={t('notices.empty')} hint={t('notices.emptyHint')} />
  }
  return (
    <>
      <ul>
        {items.map((one) => (
          <li key={one.number}>
            <Row notice={one} close={close} />
          </li>
        ))}
      </ul>
      {next && (
        <div className="p-2 text-center">
          <Button look="quiet" onClick={() => void desk.moreNotices().catch(toastFailure)}>
            {t('notices.more')}
          </Button>
        </div>
      )}
    </>
  )
}

function Row({ notice, close }: { notice: Notice; close: () => void }) {
  const { desk } = live()
  const now = useHalfMinutes()
  const agents = useAgents()
  const by = notice.by ? (agents.get(notice.by)?.name ?? '…') : t('notices.hub')
  const Icon = notice.kind === 'mentioned' ? AtSign : UserCheck
  const open = () => {
    close()
    if (!notice.read) void desk.readNotices({ numbers: [notice.number] }).catch(() => undefined)
    go(`/inbox/${notice.conversation_id}`)
  }
  return (
    <button type="button" onClick={open} className="flex w-full gap-3 px-4 py-2.5 text-start hover:bg-hover">
      <Icon size={16} aria-hidden className={`mt-0.5 shrink-0 ${notice.read ? 'text-soft' : 'text-brand'}`} />
      <span className="min-w-0 flex-1">
        <span className={`block ${notice.read ? '' : 'font-semibold'}`}>
          {t(`notices.${notice.kind}`, { by: isolated(by), name: isolated(notice.contact_name) })}
          {!notice.read && <span className="sr-only"> ({t('notices.new')})</span>}
        </span>
        <span dir="auto" className="aligned block truncate text-[13px] text-soft">
          {notice.preview}
        </span>
      </span>
      <time dateTime={notice.at} className="shrink-0 text-[11px] text-soft">
        {short(notice.at, now)}
      </time>
    </button>
  )
}

/** How the reader wants to hear of it, in this browser. */
function Wishes() {
  const wished = useStore(wishes)
  const [refused, setRefused] = useState(globalThis.Notification?.permission === 'denied')
  const desktop = async (on: boolean) => {
    if (on && globalThis.Notification && Notification.permission !== 'granted') {
      const answer = await Notification.requestPermission()
      setRefused(answer === 'denied')
      if (answer !== 'granted') return
    }
    wishFor({ desktop: on })
  }
  return (
    <div className="border-t border-line bg-sunken px-4 py-2 text-[13px]">
      <Switch
        label={t('notices.sound')}
        checked={wished.sound}
        onChange={(sound) => {
          wishFor({ sound })
          if (sound) chime()
        }}
      />
      <Switch
        label={t('notices.desktop')}
        hint={refused ? t('notices.desktopRefused') : undefined}
        checked={wished.desktop && !refused}
        disabled={refused || !globalThis.Notification}
        onChange={(on) => void desktop(on)}
      />
      <Switch
        label={t('notices.unassigned')}
        checked={wished.unassigned}
        onChange={(unassigned) => wishFor({ unassigned })}
      />
      <p className="pt-1 text-[11px] text-soft">{t('notices.quiet')}</p>
    </div>
  )
}
