/** The settings: their parts at the side, the chosen one beside them; on a small screen one after the other. */
import { Outlet, useLocation } from '@tanstack/react-router'
import { live } from '../../app/live'
import { PageLink } from '../../app/page-link'
import { t } from '../../i18n'
import { may } from './rights'
import { GROUPS, SECTIONS } from './sections'

const ITEM =
  'flex items-center gap-2.5 rounded-md px-2.5 py-1.5 text-[13px] font-medium text-soft hover:bg-hover hover:text-ink data-[status=active]:bg-tint data-[status=active]:text-brand'

export function SettingsPage() {
  const { me } = live()
  const top = useLocation({ select: (place) => /^\/settings\/?$/.test(place.pathname) })
  const shown = GROUPS.map((group) => ({
    ...group,
    sections: SECTIONS.filter((one) => one.group === group.id && may(me.role, one.right)),
  })).filter((group) => group.sections.length > 0)
  return (
    <div className="grid h-full grid-cols-1 md:grid-cols-[15rem_minmax(0,1fr)]">
      <nav
        aria-label={t('settings.title')}
        className="min-h-0 space-y-4 overflow-y-auto border-line bg-panel p-3 max-md:hidden md:border-e"
      >
        {shown.map((group) => (
          <div key={group.id}>
            <h2 className="px-2.5 pb-1 text-xs font-medium text-soft">{t(group.title)}</h2>
            <ul className="space-y-0.5">
              {group.sections.map(({ id, icon: Icon, title }) => (
                <li key={id}>
                  <PageLink to={`/settings/${id}`} className={ITEM}>
                    <Icon size={16} aria-hidden />
                    {t(title)}
                  </PageLink>
                </li>
              ))}
            </ul>
          </div>
        ))}
      </nav>
      <div className="min-h-0 overflow-y-auto">
        {top ? (
          <div className="mx-auto max-w-4xl space-y-6 p-4 pb-16 sm:p-8">
            <h1 className="text-xl font-semibold">{t('settings.title')}</h1>
            {shown.map((group) => (
              <section key={group.id} aria-labelledby={`settings-${group.id}`}>
                <h2 id={`settings-${group.id}`} className="mb-2 text-[13px] font-medium text-soft">
                  {t(group.title)}
                </h2>
                <ul className="grid gap-3 sm:grid-cols-2">
                  {group.sections.map(({ id, icon: Icon, title, lead }) => (
                    <li key={id}>
                      <PageLink
                        to={`/settings/${id}`}
                        className="flex h-full gap-3 rounded-xl border border-line bg-panel p-4 hover:border-brand"
                      >
                        <Icon size={20} aria-hidden className="mt-0.5 shrink-0 text-brand" />
                        <span>
                          <span className="block font-medium">{t(title)}</span>
                          <span className="block text-[13px] text-soft">{t(lead)}</span>
                        </span>
                      </PageLink>
                    </li>
                  ))}
                </ul>
              </section>
            ))}
          </div>
        ) : (
          <Outlet />
        )}
      </div>
    </div>
  )
}
