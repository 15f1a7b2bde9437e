/** The channels of the workspace. */
import { ChevronRight, Globe, MessageSquareText, Phone, Plus } from 'lucide-react'
import { client, of } from '../../api/client'
import { pages, paging } from '../../api/pages'
import type { Channel, Medium } from '../../api/types'
import { PageLink } from '../../app/page-link'
import { go } from '../../app/router'
import { useLoaded } from '../../data/ask'
import { t } from '../../i18n'
import { Button } from '../../ui/button'
import { Blank } from '../../ui/state'
import { Badge, Card, can, SectionPage, When } from './parts'

export type ChannelView = Channel & { webhook_url?: string | null }

export const ICONS = { sms: MessageSquareText, whatsapp: Phone, web_chat: Globe } satisfies Record<Medium, unknown>

export const useChannelList = () =>
  useLoaded<ChannelView[]>('channels', () => pages((cursor) => of(client.GET('/api/v1/channels', paging(cursor)))), {
    also: ['channels'],
    enabled: can('readChannels'),
  })

export function ChannelsPage() {
  const loaded = useChannelList()
  const add = (
    <Button
      look="primary"
      className="h-9"
      icon={<Plus size={15} aria-hidden />}
      onClick={() => go('/settings/channels/new')}
    >
      {t('settings.channels.add')}
    </Button>
  )
  return (
    <SectionPage id="channels" action={can('manageChannels') && add}>
      <When loaded={loaded}>
        {(channels) => (
          <Card>
            {channels.length === 0 ? (
              <Blank title={t('settings.channels.empty')} hint={t('settings.channels.emptyHint')}>
                {can('manageChannels') && add}
              </Blank>
            ) : (
              <ul className="divide-y divide-line">
                {channels.map((channel) => {
                  const Icon = ICONS[channel.medium]
                  return (
                    <li key={channel.id}>
                      <PageLink
                        to={`/settings/channels/${channel.id}`}
                        className="flex items-center gap-3 px-4 py-3 hover:bg-hover"
                      >
                        <span className="grid size-9 shrink-0 place-items-center rounded-lg bg-tint text-brand">
                          <Icon size={17} aria-hidden />
                        </span>
                        <span className="min-w-0 flex-1">
                          <span className="flex items-center gap-2 font-medium">
                            <bdi className="truncate">{channel.name}</bdi>
                            {channel.active === false && <Badge look="bad">{t('settings.channels.off')}</Badge>}
                          </span>
                          <span className="block truncate text-xs text-soft">
                            {t(`medium.${channel.medium}`)}
                            {channel.medium !== 'web_chat' && (
                              <>
                                {' · '}
                                <bdi dir="ltr">{channel.address}</bdi>
                              </>
                            )}
                            {' · '}
                            {t(`settings.assign.${channel.assignment ?? 'manual'}`)}
                          </span>
                        </span>
                        <ChevronRight size={16} aria-hidden className="shrink-0 text-soft rtl:-scale-x-100" />
                      </PageLink>
                    </li>
                  )
                })}
              </ul>
            )}
          </Card>
        )}
      </When>
    </SectionPage>
  )
}
