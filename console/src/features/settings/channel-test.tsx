/**
 * Tries a channel in both directions: a message to one's own phone, whose way is shown as the provider tells it, and the next
 * message that comes in. Both are seen over the socket, the same way as in the inbox.
 */
import { CheckCircle2, CircleAlert, LoaderCircle, Send } from 'lucide-react'
import { type FormEvent, useEffect, useState } from 'react'
import { client, of } from '../../api/client'
import { live, seesInbox, useDesk } from '../../app/live'
import { PageLink } from '../../app/page-link'
import { useAct } from '../../data/ask'
import { t } from '../../i18n'
import { Button } from '../../ui/button'
import { TextField } from '../../ui/form'
import type { ChannelView } from './channels'
import { checkNumber, tidyNumber } from './checks'
import { Card, Refused } from './parts'

interface Tried {
  conversation: string
  seq: number
}

export function ChannelTest({ channel }: { channel: ChannelView }) {
  if (!seesInbox(live().me)) return null
  return (
    <Card title={t('settings.test.title')} lead={t('settings.test.lead')}>
      <div className="grid divide-line max-sm:divide-y sm:grid-cols-2 sm:divide-x rtl:divide-x-reverse">
        <Outbound channel={channel} />
        <Inbound channel={channel} />
      </div>
    </Card>
  )
}

function Outbound({ channel }: { channel: ChannelView }) {
  const [to, setTo] = useState('')
  const [text, setText] = useState(() => t('settings.test.text', { name: channel.name }))
  const [tried, setTried] = useState<Tried>()
  const act = useAct()
  const wrong = checkNumber(to)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    setTried(undefined)
    const body = { channel_id: channel.id, address: tidyNumber(to), body: { text } }
    const params = { header: { 'Idempotency-Key': crypto.randomUUID() } }
    void act.run(async () => {
      const { message } = await of(client.POST('/api/v1/conversations', { params, body }))
      setTried({ conversation: message.conversation_id, seq: message.seq })
    })
  }
  return (
    <form onSubmit={submit} className="space-y-3 p-4">
      <h3 className="font-medium">{t('settings.test.out')}</h3>
      <TextField
        label={t('settings.test.to')}
        hint={t('settings.test.toHint')}
        dir="ltr"
        inputMode="tel"
        autoComplete="tel"
        value={to}
        onChange={setTo}
        error={to.length > 6 && wrong ? t(wrong) : undefined}
      />
      <TextField label={t('settings.test.message')} dir="auto" value={text} onChange={setText} />
      <Button
        type="submit"
        className="h-9"
        disabled={act.busy || wrong !== undefined || !text.trim()}
        icon={<Send size={14} aria-hidden className="rtl:-scale-x-100" />}
      >
        {act.busy ? t('settings.test.sending') : t('settings.test.send')}
      </Button>
      <Refused failed={act.failed} />
      {tried && <Way key={`${tried.conversation}/${tried.seq}`} tried={tried} />}
    </form>
  )
}

/** How far a message has come. */
function Way({ tried }: { tried: Tried }) {
  const { desk } = live()
  useEffect(() => {
    void desk.open(tried.conversation)
    return () => desk.close(tried.conversation)
  }, [desk, tried.conversation])
  const message = useDesk((state) =>
    state.threads.get(tried.conversation)?.window.messages.find((one) => one.seq === tried.seq),
  )
  const status = message?.status ?? 'queued'
  const good = status === 'delivered' || status === 'read'
  return (
    <div role="status" className="space-y-1 rounded-md bg-sunken px-3 py-2 text-[13px]">
      <p className="flex items-center gap-2 font-medium">
        {status === 'failed' ? (
          <CircleAlert size={15} aria-hidden className="text-danger" />
        ) : good ? (
          <CheckCircle2 size={15} aria-hidden className="text-brand" />
        ) : (
          <LoaderCircle size={15} aria-hidden className="animate-spin text-soft" />
        )}
        {t(`message.${status}`)}
      </p>
      {message?.error && (
        <p dir="ltr" className="aligned text-xs text-soft">
          {message.error.code}: {message.error.reason}
        </p>
      )}
      {status === 'sent' && <p className="text-xs text-soft">{t('settings.test.sentHint')}</p>}
      <PageLink to={`/inbox/${tried.conversation}`} className="text-brand underline">
        {t('settings.test.conversation')}
      </PageLink>
    </div>
  )
}

function Inbound({ channel }: { channel: ChannelView }) {
  const [since, setSince] = useState<number>()
  const came = useDesk((state) => {
    if (since === undefined) return undefined
    for (const one of state.conversations.values()) {
      const last = one.last_message
      if (one.channel_id !== channel.id || last?.direction !== 'inbound') continue
      if (Date.parse(one.last_activity_at) >= since) return one
    }
    return undefined
  })
  return (
    <div className="space-y-3 p-4">
      <h3 className="font-medium">{t('settings.test.in')}</h3>
      <p className="text-[13px] text-soft">
        {t('settings.test.inHint')}{' '}
        <bdi dir="ltr" className="font-medium text-ink">
          {channel.address}
        </bdi>
      </p>
      {since === undefined ? (
        <Button className="h-9" onClick={() => setSince(Date.now())}>
          {t('settings.test.listen')}
        </Button>
      ) : (
        <div role="status" className="rounded-md bg-sunken px-3 py-2 text-[13px]">
          {came ? (
            <>
              <p className="flex items-center gap-2 font-medium">
                <CheckCircle2 size={15} aria-hidden className="text-brand" />
                {t('settings.test.came', { name: came.contact_name })}
              </p>
              <PageLink to={`/inbox/${came.id}`} className="text-brand underline">
                {t('settings.test.conversation')}
              </PageLink>
            </>
          ) : (
            <p className="flex items-center gap-2">
              <LoaderCircle size={15} aria-hidden className="animate-spin text-soft" />
              {t('settings.test.waiting')}
            </p>
          )}
        </div>
      )}
    </div>
  )
}
