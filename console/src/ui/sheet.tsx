/** A dialog at the end of the page, for lists that belong to what was pressed. */
import { Dialog as Base } from '@base-ui/react/dialog'
import { X } from 'lucide-react'
import type { ReactNode } from 'react'

interface Props {
  open: boolean
  onOpenChange: (open: boolean) => void
  title: string
  closeLabel: string
  /** Stands below the title. */
  lead?: ReactNode
  children: ReactNode
}

export function Sheet({ open, onOpenChange, title, closeLabel, lead, children }: Props) {
  return (
    <Base.Root open={open} onOpenChange={onOpenChange}>
      <Base.Portal>
        <Base.Backdrop className="fixed inset-0 z-40 bg-black/40" />
        <Base.Popup className="fixed inset-y-0 end-0 z-50 flex w-full max-w-lg flex-col border-s border-line bg-raised shadow-2xl outline-none">
          <div className="flex items-start justify-between gap-3 border-b border-line p-4">
            <div className="min-w-0">
              <Base.Title className="text-base font-semibold">{title}</Base.Title>
              {lead && <div className="mt-0.5 text-[13px] text-soft">{lead}</div>}
            </div>
            <Base.Close
              aria-label={closeLabel}
              className="inline-grid size-8 shrink-0 place-items-center rounded-md text-soft hover:bg-hover"
            >
              <X size={16} aria-hidden />
            </Base.Close>
          </div>
          <div className="min-h-0 flex-1 overflow-y-auto">{children}</div>
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  )
}
