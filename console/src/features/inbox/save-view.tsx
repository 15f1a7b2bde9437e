import { type FormEvent, useState } from 'react'
import { client, failure, of } from '../../api/client'
import type { Filters } from '../../api/types'
import { live, seesAll } from '../../app/live'
import { toast } from '../../app/toasts'
import { type MessageId, t } from '../../i18n'
import { parameters, type View } from '../../live/view'
import { Button } from '../../ui/button'
import { Dialog } from '../../ui/dialog'
import { Switch } from '../../ui/switch'

/** Gives a view a name, for oneself or for all. */
export default function SaveView({ view, close }: { view: View; close: () => void }) {
  const [name, setName] = useState(view.label ?? '')
  const [shared, setShared] = useState(false)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<MessageId>()
  const save = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setError(undefined)
    try {
      const filters = parameters(view) as Filters
      await of(client.POST('/api/v1/saved-views', { body: { name: name.trim(), shared, filters } }))
      toast({ text: t('view.kept', { name: name.trim() }) })
      close()
    } catch (caught) {
      setError(`error.${failure(caught).code}`)
      setBusy(false)
    }
  }
  return (
    <Dialog open onOpenChange={(open) => !open && close()} title={t('view.save')} closeLabel={t('toast.close')}>
      <form onSubmit={(event) => void save(event)} className="space-y-4">
        <label className="grid gap-1.5">
          <span className="font-medium">{t('view.name')}</span>
          <input
            required
            maxLength={100}
            value={name}
            dir={name ? 'auto' : undefined}
            onChange={(event) => setName(event.target.value)}
            className="h-9 rounded-md border border-line-strong bg-panel px-3"
          />
        </label>
        {seesAll(live().me) && <Switch label={t('view.shared')} checked={shared} onChange={setShared} />}
        {error && (
          <p role="alert" className="text-danger">
            {t(error)}
          </p>
        )}
        <Button type="submit" look="primary" disabled={busy || !name.trim()}>
          {t('view.keep')}
        </Button>
      </form>
    </Dialog>
  )
}
