import { type ReactNode, useEffect, useRef, useState } from 'react'

interface Props {
  /** The button's name, and the panel's. */
  label: string
  className: string
  button: ReactNode
  /** Where the panel stands; below the button, at its end, if absent. */
  place?: string
  children: (close: () => void) => ReactNode
}

/** A button that opens a panel. Escape and whatever is pressed outside close it; the focus goes into it and back. */
export function Popover({ label, className, button, place = 'absolute end-0 top-full mt-1.5', children }: Props) {
  const [open, setOpen] = useState(false)
  const root = useRef<HTMLDivElement>(null)
  const panel = useRef<HTMLDivElement>(null)
  const trigger = useRef<HTMLButtonElement>(null)
  const close = () => {
    setOpen(false)
    trigger.current?.focus()
  }
  useEffect(() => {
    if (!open) return
    panel.current?.focus()
    const outside = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false)
    }
    document.addEventListener('pointerdown', outside)
    return () => document.removeEventListener('pointerdown', outside)
  }, [open])
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape is heard from whatever has the focus in it
    <div
      ref={root}
      className="relative"
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || !open) return
        event.stopPropagation()
        event.nativeEvent.stopImmediatePropagation()
        close()
      }}
    >
      <button
        ref={trigger}
        type="button"
        aria-label={label}
        title={label}
        aria-haspopup="dialog"
        aria-expanded={open}
        className={className}
        onClick={() => setOpen(!open)}
      >
        {button}
      </button>
      {open && (
        <div
          ref={panel}
          role="dialog"
          aria-label={label}
          tabIndex={-1}
          className={`${place} z-40 overflow-hidden rounded-xl border border-line bg-raised shadow-xl outline-none`}
        >
          {children(close)}
        </div>
      )}
    </div>
  )
}
