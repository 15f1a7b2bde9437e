import { CircleAlert, RefreshCw, WifiOff } from 'lucide-react'
import { t } from '../i18n'
import { Button } from '../ui/button'
import { useSeconds } from './clock'
import { live, useDesk } from './live'

/** How the connection is, in a word. */
export function LinkBadge() {
  const link = useDesk((state) => state.link)
  const good = link.state === 'live'
  const busy = link.state === 'connecting' || link.state === 'catching_up'
  const text = good || busy ? t(`link.${link.state as 'live' | 'connecting' | 'catching_up'}`) : t('link.offline')
  return (
    <span role="status" className="inline-flex items-center gap-1.5 text-xs text-soft" title={text}>
      <span aria-hidden className={`size-2 rounded-full ${good ? 'bg-brand' : busy ? 'bg-warn blink' : 'bg-danger'}`} />
      <span className="max-sm:sr-only">{text}</span>
    </span>
  )
}

/** What the agent must know while the connection is away: since when, what is kept, what to do. */
export function LinkBanner() {
  const link = useDesk((state) => state.link)
  const waiting = useDesk((state) => state.pending.reduce((sum, one) => sum + (one.state === 'failed' ? 0 : 1), 0))
  if (link.state === 'offline') return <Offline retryAt={link.retryAt} waiting={waiting} />
  if (link.state !== 'replaced' && link.state !== 'refused') return null
  const text = link.state === 'replaced' ? t('link.replaced') : t('link.refused', { code: String(link.code) })
  return (
    <div role="alert" className="flex items-center gap-3 border-b border-line bg-danger-tint px-4 py-2 text-danger">
      <CircleAlert size={16} aria-hidden className="shrink-0" />
      <p className="flex-1">{text}</p>
      <Button onClick={() => location.reload()}>{t('link.reload')}</Button>
    </div>
  )
}

function Offline({ retryAt, waiting }: { retryAt: number; waiting: number }) {
  const now = useSeconds()
  const seconds = Math.ceil((retryAt - now) / 1000)
  return (
    <div className="flex items-center gap-3 border-b border-line bg-note px-4 py-1.5 text-[13px]">
      <WifiOff size={16} aria-hidden className="shrink-0 text-warn" />
      <p className="flex-1">
        <span className="font-medium">{seconds > 0 ? t('link.offlineSoon', { seconds }) : t('link.offlineNow')}</span>{' '}
        <span className="text-soft">
          {t('link.stale')} {waiting > 0 && t('link.kept', { count: waiting })}
        </span>
      </p>
      <Button icon={<RefreshCw size={14} aria-hidden />} onClick={() => live().socket.nudge()}>
        {t('link.retry')}
      </Button>
    </div>
  )
}
