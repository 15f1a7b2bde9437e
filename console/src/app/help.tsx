import { t } from '../i18n'
import { Dialog } from '../ui/dialog'

const KEYS = [
  ['J', 'shortcuts.next'],
  ['K', 'shortcuts.previous'],
  ['R', 'shortcuts.reply'],
  ['N', 'shortcuts.note'],
  ['E', 'shortcuts.resolve'],
  ['A', 'shortcuts.assign'],
  ['Enter', 'shortcuts.send'],
  ['Esc', 'shortcuts.back'],
  ['?', 'shortcuts.help'],
] as const

export default function Help({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title={t('shortcuts.title')} closeLabel={t('shortcuts.close')}>
      <dl>
        {KEYS.map(([key, id]) => (
          <div key={key} className="flex items-center justify-between border-t border-line py-2">
            <dt>{t(id)}</dt>
            <dd>
              <kbd className="rounded border border-line-strong bg-sunken px-2 py-0.5 font-sans text-xs font-medium">
                {key}
              </kbd>
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}
