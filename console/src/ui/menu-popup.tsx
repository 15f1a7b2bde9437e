import { Menu as Base } from '@base-ui/react/menu'
import type { MenuProps } from './menu'

const ITEM =
  'flex w-full cursor-pointer select-none items-center gap-2 rounded-md px-2 py-1.5 outline-none data-[highlighted]:bg-hover'

/** A menu with its library; opens as soon as it is there. */
export default function MenuPopup({ trigger, head, entries }: MenuProps) {
  return (
    <Base.Root defaultOpen>
      <Base.Trigger render={trigger} />
      <Base.Portal>
        <Base.Positioner align="end" sideOffset={6} className="z-50 outline-none">
          <Base.Popup className="min-w-48 rounded-lg border border-line bg-raised p-1 text-[13px] shadow-lg outline-none">
            {head && <div className="mb-1 border-b border-line px-2 py-1.5">{head}</div>}
            {entries.map((entry) => (
              <Base.Item
                key={entry.label}
                className={entry.line ? `${ITEM} mt-1 border-t border-line pt-2` : ITEM}
                onClick={entry.run}
              >
                {entry.icon}
                {entry.label}
                {entry.checked && <span className="ms-auto text-brand">✓</span>}
              </Base.Item>
            ))}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  )
}
