import { cloneElement, lazy, type ReactElement, type ReactNode, Suspense, useState } from 'react'

export interface MenuEntry {
  label: string
  run: () => void
  icon?: ReactNode
  checked?: boolean
  /** A line stands above it. */
  line?: boolean
}

export interface MenuProps {
  trigger: ReactElement<Record<string, unknown>>
  head?: ReactNode
  entries: MenuEntry[]
}

const load = () => import('./menu-popup')
const Popup = lazy(load)

/** A button that opens a menu. The menu's library is loaded when somebody comes near the button for the first time. */
export function Menu(props: MenuProps) {
  const [wanted, setWanted] = useState(false)
  const waiting = cloneElement(props.trigger, {
    'aria-haspopup': 'menu',
    'aria-expanded': false,
    onClick: () => setWanted(true),
    onPointerEnter: () => void load(),
    onFocus: () => void load(),
  })
  if (!wanted) return waiting
  return (
    <Suspense fallback={waiting}>
      <Popup {...props} />
    </Suspense>
  )
}
