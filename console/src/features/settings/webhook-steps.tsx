/** Where the address of a channel's webhook belongs, step by step, and whether it can be reached. */
import { TriangleAlert } from 'lucide-react'
import { t } from '../../i18n'
import { CopyField } from '../../ui/form'
import type { ChannelView } from './channels'
import { Card } from './parts'
import { reach } from './webhook'

/** What the provider's own pages call things; those pages are in English. */
const TWILIO = {
  sms: [
    'Phone Numbers → Manage → Active numbers',
    'Messaging Configuration → A message comes in',
    'Webhook · HTTP POST',
  ],
  whatsapp: ['Messaging → Senders → WhatsApp senders', 'Webhook URL for incoming messages', 'HTTP POST'],
} as const

export function WebhookSteps({ channel }: { channel: ChannelView }) {
  const address = channel.webhook_url
  if (!address || channel.medium === 'web_chat') return null
  const reached = reach(address)
  const [place, field, kind] = TWILIO[channel.medium]
  return (
    <Card title={t('settings.webhook.title')} lead={t('settings.webhook.lead')}>
      <div className="space-y-4 p-4">
        <CopyField
          label={t('settings.webhook.address')}
          value={address}
          copyLabel={t('settings.copy')}
          copiedLabel={t('settings.copied')}
        />
        {reached !== 'public' && (
          <p className="flex gap-2 rounded-md bg-note px-3 py-2 text-[13px]">
            <TriangleAlert size={16} aria-hidden className="mt-0.5 shrink-0 text-warn" />
            <span>{t(reached === 'private' ? 'settings.webhook.private' : 'settings.webhook.plain')}</span>
          </p>
        )}
        <ol className="list-decimal space-y-1 ps-5 text-[13px]">
          <li>
            {t('settings.webhook.open')} <bdi className="font-medium">{place}</bdi>
          </li>
          <li>
            {t('settings.webhook.paste')} <bdi className="font-medium">{field}</bdi> (<bdi>{kind}</bdi>)
          </li>
          <li>{t('settings.webhook.save')}</li>
        </ol>
        <p className="text-xs text-soft">{t('settings.webhook.status')}</p>
      </div>
    </Card>
  )
}
