import { type FormEvent, useState } from 'react'
import { t } from '../../i18n'
import { Button } from '../../ui/button'
import { Dialog } from '../../ui/dialog'
import { TextField } from '../../ui/form'

interface Props {
  /** What the dialog is for, if not for saving alone. */
  title?: string
  names: readonly string[]
  close: () => void
  onSave: (name: string) => void
}

export function SaveDialog({ title = t('sql.save'), names, close, onSave }: Props) {
  const [name, setName] = useState('')
  const known = names.includes(name.trim())
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (name.trim()) onSave(name.trim())
  }
  return (
    <Dialog open onOpenChange={close} title={title} closeLabel={t('sql.close')}>
      <form onSubmit={submit} className="space-y-4">
        <TextField
          label={t('sql.name')}
          value={name}
          onChange={setName}
          maxLength={100}
          hint={known ? t('sql.replaces') : t('sql.here')}
        />
        <Button type="submit" look="primary" className="h-9" disabled={!name.trim()}>
          {title}
        </Button>
      </form>
    </Dialog>
  )
}
