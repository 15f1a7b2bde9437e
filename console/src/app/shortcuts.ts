/** Keys of a page, by their place on the keyboard (`event.code`), so that they work on an Arabic layout as well. */
import { useEffect, useRef } from 'react'

export type Shortcuts = Partial<Record<string, () => void>>

const writing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))

export function useShortcuts(shortcuts: Shortcuts): void {
  const latest = useRef(shortcuts)
  latest.current = shortcuts
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return
      if (writing(event.target) && event.code !== 'Escape') return
      if (event.target instanceof Element && event.target.closest('[role="menu"], [role="dialog"]')) return
      const name = event.key === '?' || event.key === '؟' ? '?' : event.shiftKey ? `Shift+${event.code}` : event.code
      const run = latest.current[name]
      if (!run) return
      event.preventDefault()
      run()
    }
    window.addEventListener('keydown', pressed)
    return () => window.removeEventListener('keydown', pressed)
  }, [])
}
