/** The page's colours as a canvas needs them: resolved, and told anew when the theme changes. */
import { useSyncExternalStore } from 'react'
import type { Look } from './option'

export type Theme = 'light' | 'dark'

/** Colours of series: told apart by people who see fewer colours, and readable on the panel of each theme. */
const SERIES: Record<Theme, readonly string[]> = {
  light: ['#12715b', '#2f6fd0', '#c2670c', '#8b44a8', '#b3261e', '#0e8aa0', '#7a7a12', '#d0447f', '#5b6b74', '#3d8f2a'],
  dark: ['#3fb495', '#79a9f5', '#eba24f', '#c48be0', '#f2938c', '#55c3d8', '#c4c25a', '#f08ab4', '#a3b1b9', '#8fd07c'],
}

const now = (): Theme => (document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light')

function subscribe(changed: () => void): () => void {
  const watch = new MutationObserver(changed)
  watch.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] })
  return () => watch.disconnect()
}

export const useTheme = (): Theme => useSyncExternalStore(subscribe, now)

/** What a colour's name stands for in the present theme: `light-dark()` is no colour to a canvas. */
function resolved(names: readonly string[]): string[] {
  const probe = document.createElement('span')
  probe.hidden = true
  document.body.append(probe)
  const all = names.map((name) => {
    probe.style.color = `var(--color-${name})`
    return getComputedStyle(probe).color
  })
  probe.remove()
  return all
}

export function look(rtl: boolean, scale: number, theme: Theme): Look {
  const names = ['ink', 'soft', 'line', 'panel', 'sunken', 'brand', 'danger'] as const
  const [ink = '#000', soft = '#666', line = '#ddd', panel = '#fff', cold = '#eee', good = '#080', bad = '#a00'] =
    resolved(names)
  return {
    colors: SERIES[theme],
    ink,
    soft,
    line,
    panel,
    cold,
    hot: good,
    good,
    bad,
    font: getComputedStyle(document.body).fontFamily,
    rtl,
    scale,
    still: matchMedia('(prefers-reduced-motion: reduce)').matches,
  }
}
