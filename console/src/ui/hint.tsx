/** What something means, on hover and on focus. */
import { Popover as Base } from '@base-ui/react/popover'
import { Info } from 'lucide-react'
import type { ReactNode } from 'react'

export function Hint({ label, children }: { label: string; children: ReactNode }) {
  return (
    <Base.Root>
      <Base.Trigger
        openOnHover
        delay={250}
        aria-label={label}
        className="inline-grid size-6 shrink-0 place-items-center rounded text-soft hover:text-ink"
      >
        <Info size={13} aria-hidden />
      </Base.Trigger>
      <Base.Portal>
        <Base.Positioner sideOffset={6} className="z-50">
          <Base.Popup className="max-w-72 rounded-lg border border-line bg-raised p-3 text-[13px] shadow-lg outline-none">
            {children}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  )
}
