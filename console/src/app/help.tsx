import { useMemo } from 'react'
import { useStore } from 'zustand'
import { t } from '../i18n'
import { Dialog } from '../ui/dialog'
import { Switch } from '../ui/switch'
import { type Command, commands, keysOn, shown, switchKeys } from './commands'

/** The map of keys: those that work on the page behind it. */
export default function Help({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const on = useStore(keysOn, (state) => state.on)
  const groups = useMemo(() => {
    const all = new Map<string, Command[]>()
    for (const one of commands()) if (one.keys) all.set(one.group, [...(all.get(one.group) ?? []), one])
    return [...all]
  }, [])
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title={t('shortcuts.title')} closeLabel={t('shortcuts.close')}>
      <Switch label={t('shortcuts.on')} hint={t('shortcuts.onHint')} checked={on} onChange={switchKeys} />
      {groups.map(([group, all]) => (
        <section key={group} className="mt-3">
          <h3 className="pb-1 text-xs font-semibold text-soft">{group}</h3>
          <dl>
            {all.map((one) => (
              <div key={one.id} className="flex items-center justify-between border-t border-line py-1.5">
                <dt>{one.title}</dt>
                <dd>
                  <kbd
                    dir="ltr"
                    className="rounded border border-line-strong bg-sunken px-2 py-0.5 font-sans text-xs font-medium"
                  >
                    {shown(one.keys ?? '')}
                  </kbd>
                </dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </Dialog>
  )
}
