// biome-ignore-all lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
/** Webhooks that were believed but could not be read: what was in them, read again, or thrown away. */
import { RotateCcw } from 'lucide-react'
import { useState } from 'react'
import { client, of } from '../../api/client'
import { pages, paging } from '../../api/pages'
import type { components } from '../../api/schema'
import { useChannels } from '../../app/people'
import { useAct, useLoaded } from '../../data/ask'
import { t } from '../../i18n'
import { moment, number } from '../../i18n/format'
import { Button } from '../../ui/button'
import { CopyButton } from '../../ui/form'
import { Sheet } from '../../ui/sheet'
import { Blank, Skeleton } from '../../ui/state'
import { readable } from './letter'
import { Badge, Card, can, Refused, SectionPage, useConfirm, When } from './parts'

type Letter = components['schemas']['DeadLetter']

const at = (letter: Letter) => ({ params: { path: { dead_letter_id: letter.id } } })

export function DeadLettersPage() {
  const loaded = useLoaded<Letter[]>(
    'dead-letters',
    () => pages((cursor) => of(client.GET('/api/v1/dead-letters', paging(cursor)))),
    { enabled: can('deadLetters') },
  )
  const channels = useChannels()
  const [shown, show] = useState<Letter>()
  const [said, say] = useState<string>()
  const act = useAct()
  const [dialog, confirm] = useConfirm()
  const replay = (letters: readonly Letter[]) => {
    say(undefined)
    let entries = 0
    let still = 0
    void act
      .run(async () => {
        for (const letter of letters) {
          const answer = await client.POST('/api/v1/dead-letters/{dead_letter_id}/replay', at(letter))
          if (answer.response.status === 422) still += 1
          else entries += (await of(Promise.resolve(answer))).entries
        }
      })
      .then(async () => {
        say(t('settings.deadLetters.replayed', { letters: letters.length - still, entries, still }))
        await loaded.changed()
      })
  }
  const discard = (letter: Letter) =>
    void act
      .run(() => of(client.DELETE('/api/v1/dead-letters/{dead_letter_id}', at(letter))))
      .then(async () => {
        show(undefined)
        await loaded.changed()
      })
  const waiting = (loaded.data ?? []).filter((one) => !one.replayed_at && !one.truncated)
  return (
    <SectionPage
      id="dead-letters"
      action={
        waiting.length > 1 && (
          <Button
            className="h-9"
            icon={<RotateCcw size={15} aria-hidden />}
            disabled={act.busy}
            onClick={() => replay(waiting)}
          >
            {t('settings.deadLetters.replayAll', { count: waiting.length })}
          </Button>
        )
      }
    >
      <p role="status" className="text-[13px] text-brand empty:hidden">
        {said}
      </p>
      <Refused failed={act.failed} />
      <When loaded={loaded}>
        {(letters) => (
          <Card>
            {letters.length === 0 ? (
              <Blank title={t('settings.deadLetters.empty')} hint={t('settings.deadLetters.emptyHint')} />
            ) : (
              <ul className="divide-y divide-line">
                {letters.map((letter) => (
                  <li key={letter.id} className="flex flex-wrap items-center gap-3 px-4 py-3">
                    <div className="min-w-56 flex-1">
                      <p className="flex flex-wrap items-center gap-2 font-medium">
                        <bdi>{channels.get(letter.channel_id)?.name ?? letter.provider}</bdi>
                        {letter.replayed_at && <Badge look="good">{t('settings.deadLetters.done')}</Badge>}
                        {letter.truncated && <Badge look="warn">{t('settings.deadLetters.truncated')}</Badge>}
                      </p>
                      <p dir="ltr" className="aligned truncate text-xs text-soft">
                        {letter.reason}
                      </p>
                      <p className="text-xs text-soft">
                        {moment(letter.received_at)} ·{' '}
                        {t('settings.deadLetters.bytes', {
                          count: letter.size_bytes,
                          shown: number(letter.size_bytes),
                        })}
                      </p>
                    </div>
                    <Button onClick={() => show(letter)}>{t('settings.deadLetters.look')}</Button>
                    <Button disabled={act.busy || letter.truncated} onClick={() => replay([letter])}>
                      {t('settings.deadLetters.replay')}
                    </Button>
                  </li>
                ))}
              </ul>
            )}
          </Card>
        )}
      </When>
      {shown && (
        <Sheet
          open
          onOpenChange={() => show(undefined)}
          title={t('settings.deadLetters.body')}
          closeLabel={t('settings.close')}
          lead={moment(shown.received_at)}
        >
          <Body letter={shown} />
          <div className="flex gap-2 p-4">
            <Button
              look="danger"
              onClick={() =>
                confirm({
                  title: t('settings.deadLetters.discard'),
                  text: t('settings.deadLetters.discardText'),
                  label: t('settings.deadLetters.discard'),
                  run: () => discard(shown),
                })
              }
            >
              {t('settings.deadLetters.discard')}
            </Button>
          </div>
        </Sheet>
      )}
      {dialog}
    </SectionPage>
  )
}

function Body({ letter }: { letter: Letter }) {
  const loaded = useLoaded(`dead-letter/${letter.id}`, () =>
    of(client.GET('/api/v1/dead-letters/{dead_letter_id}', at(letter))),
  )
  if (!loaded.data) {
    return loaded.failed ? (
      <p className="p-4 text-danger">{t(`error.${loaded.failed.code}`)}</p>
    ) : (
      <Skeleton rows={3} label={t('settings.loading')} />
    )
  }
  const text = readable(loaded.data.body_base64, letter.content_type)
  return (
    <div className="space-y-3 p-4">
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 text-[13px]">
        <dt className="text-soft">{t('settings.deadLetters.reason')}</dt>
        <dd dir="ltr" className="aligned">
          {letter.reason}
        </dd>
        <dt className="text-soft">{t('settings.deadLetters.type')}</dt>
        <dd dir="ltr" className="aligned break-all">
          {letter.content_type}
        </dd>
      </dl>
      <pre
        dir="ltr"
        tabIndex={0}
        className="max-h-[50vh] overflow-auto rounded-lg bg-sunken p-3 text-start font-mono text-xs"
      >
        {text}
      </pre>
      <CopyButton value={text} label={t('settings.copy')} copiedLabel={t('settings.copied')} />
    </div>
  )
}
