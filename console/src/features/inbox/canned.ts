/** Canned replies: their variables, and which word at the caret asks for one. Pure; the hub renders by the same rules. */
import type { CannedReply } from '../../api/types'
import { match } from '../../i18n/fold'

export type Variables = Readonly<Record<string, string | null | undefined>>

const VARIABLE = /\{\{\s*([\w.]+)\s*(?:\|([^{}]*))?\}\}/g

export const firstName = (name: string | null | undefined): string | undefined =>
  name?.trim().split(/\s+/)[0] || undefined

/** The text for somebody, and the variables that are not known and have no word instead: these stay as they are. */
export function rendered(text: string, variables: Variables): { text: string; missing: string[] } {
  const missing: string[] = []
  const result = text.replace(VARIABLE, (whole, name: string, instead: string | undefined) => {
    const value = variables[name] || instead?.trim()
    if (value) return value
    missing.push(name)
    return whole
  })
  return { text: result, missing: [...new Set(missing)] }
}

/** Variables that were left in a text that is about to be sent. */
export const unfilled = (text: string): string[] => [...text.matchAll(VARIABLE)].map((found) => found[1] ?? '')

/** How many are offered. */
const OFFERED = 8

/** Canned replies for the words after the slash: by shortcut first, then by title and text. */
export function matching(all: Iterable<CannedReply>, words: string): CannedReply[] {
  return [...all]
    .map((one) => ({ one, fit: 3 * match(one.shortcut, words) + match(`${one.title ?? ''} ${one.text}`, words) }))
    .filter(({ fit }) => fit > 0)
    .sort((a, b) => b.fit - a.fit || (a.one.shortcut < b.one.shortcut ? -1 : 1))
    .slice(0, OFFERED)
    .map(({ one }) => one)
}

export interface Trigger {
  sign: '/' | '@'
  /** What was written after the sign. */
  words: string
  /** Where the sign stands. */
  from: number
}

/** The `/word` or `@word` that ends at the caret. */
export function triggerAt(text: string, caret: number): Trigger | undefined {
  const found = /(?:^|\s)([/@])([^\s/@]{0,50})$/.exec(text.slice(0, caret))
  if (!found) return undefined
  const words = found[2] ?? ''
  return { sign: found[1] as '/' | '@', words, from: caret - words.length - 1 }
}
