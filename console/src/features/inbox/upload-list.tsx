/** The files that the next message will carry, with how far they are. */
import { CircleAlert, Paperclip, X } from 'lucide-react'
import { t } from '../../i18n'
import type { Upload } from './uploads'

export default function UploadList({ uploads, remove }: { uploads: readonly Upload[]; remove: (key: number) => void }) {
  return (
    <ul className="mb-2 flex flex-wrap gap-2" aria-label={t('composer.files')}>
      {uploads.map((one) => {
        const Icon = one.error ? CircleAlert : Paperclip
        return (
          <li
            key={one.key}
            className={`flex max-w-60 items-center gap-2 rounded-lg border px-2 py-1 text-[13px] ${
              one.error ? 'border-danger bg-danger-tint text-danger' : 'border-line bg-sunken'
            }`}
          >
            <Icon size={14} aria-hidden className="shrink-0" />
            <span className="min-w-0">
              <bdi className="block truncate">{one.name}</bdi>
              {one.error ? (
                <span role="alert" className="block text-[11px]">
                  {t(one.error === 'invalid_value' ? 'composer.fileKind' : `error.${one.error}`)}
                </span>
              ) : (
                !one.file && (
                  <progress
                    value={one.share}
                    aria-label={t('composer.uploading', { name: one.name })}
                    className="block h-1 w-full accent-brand"
                  />
                )
              )}
            </span>
            <button
              type="button"
              aria-label={t('composer.removeFile', { name: one.name })}
              onClick={() => remove(one.key)}
              className="grid size-6 shrink-0 place-items-center rounded hover:bg-hover"
            >
              <X size={13} aria-hidden />
            </button>
          </li>
        )
      })}
    </ul>
  )
}
