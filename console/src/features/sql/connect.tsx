// biome-ignore-all lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
/** How programs ask the same: ready to be pasted, with this hub's address. */
import { useState } from 'react'
import { live } from '../../app/live'
import { PageLink } from '../../app/page-link'
import { t } from '../../i18n'
import { Dialog } from '../../ui/dialog'
import { CopyButton, Segments } from '../../ui/form'
import { PROGRAMS, type Program, snippet } from './snippets'

export function Connect({ close, sql }: { close: () => void; sql: string }) {
  const [program, choose] = useState<Program>('curl')
  const text = snippet(program, location.origin, sql)
  const { role } = live().me
  return (
    <Dialog open onOpenChange={close} title={t('sql.connect')} closeLabel={t('sql.close')}>
      <div className="space-y-3">
        <p className="text-[13px] text-soft">{t('sql.connectLead')}</p>
        <Segments
          label={t('sql.program')}
          value={program}
          onChange={choose}
          choices={PROGRAMS.map((value) => ({ value, label: t(`sql.program.${value}`) }))}
        />
        <pre
          dir="ltr"
          tabIndex={0}
          className="max-h-64 overflow-auto rounded-lg bg-sunken p-3 text-start font-mono text-xs"
        >
          {text}
        </pre>
        <div className="flex flex-wrap items-center gap-3">
          <CopyButton value={text} label={t('sql.copy')} copiedLabel={t('sql.copied')} />
          {role === 'owner' || role === 'admin' ? (
            <PageLink to="/settings/tokens" className="text-[13px] text-brand underline">
              {t('sql.makeToken')}
            </PageLink>
          ) : (
            <span className="text-[13px] text-soft">{t('sql.askToken')}</span>
          )}
        </div>
      </div>
    </Dialog>
  )
}
