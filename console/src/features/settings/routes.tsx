import { Settings } from 'lucide-react'
import type { Feature, Page } from '../../app/module'
import { t } from '../../i18n'

const page = (path: string, load: Page['load']): Page => ({ path, load })

export const feature: Feature = {
  messages: 'settings',
  pages: [
    {
      path: '/settings',
      load: async () => (await import('./page')).SettingsPage,
      pages: [
        page('account', async () => (await import('./account')).AccountPage),
        page('workspace', async () => (await import('./workspace')).WorkspacePage),
        page('members', async () => (await import('./members')).MembersPage),
        page('teams', async () => (await import('./teams')).TeamsPage),
        page('hours', async () => (await import('./hours')).HoursPage),
        page('channels', async () => (await import('./channels')).ChannelsPage),
        page('channels/new', async () => (await import('./channel-new')).NewChannelPage),
        page('channels/$channelId', async () => (await import('./channel')).ChannelPage),
        page('labels', async () => (await import('./labels')).LabelsPage),
        page('replies', async () => (await import('./replies')).RepliesPage),
        page('tokens', async () => (await import('./tokens')).TokensPage),
        page('dead-letters', async () => (await import('./dead-letters')).DeadLettersPage),
      ],
    },
  ],
  nav: [{ to: '/settings', label: 'nav.settings', icon: Settings, order: 90 }],
  commands: ({ me, go }) => {
    const icon = <Settings size={15} aria-hidden />
    const group = t('palette.go')
    const all = [
      { id: 'settings.account', title: t('nav.settings.account'), group, icon, run: () => go('/settings/account') },
      { id: 'settings.members', title: t('nav.settings.members'), group, icon, run: () => go('/settings/members') },
    ]
    if (me.role === 'analyst') return all
    all.push({
      id: 'settings.channels',
      title: t('nav.settings.channels'),
      group,
      icon,
      run: () => go('/settings/channels'),
    })
    if (me.role === 'owner' || me.role === 'admin') {
      const run = () => go('/settings/channels/new')
      all.push({ id: 'settings.newChannel', title: t('nav.settings.newChannel'), group, icon, run })
    }
    return all
  },
}
