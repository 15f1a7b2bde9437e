/** Canned replies as the hub fills them in: `{{contact.first_name}}`, with a word for when it is not known `{{…|there}}`. */

import { VARIABLES, type Variable } from '../../data/variables'

export type Piece = { text: string } | { variable: string; otherwise: string | undefined; known: boolean }

const HOLE = /\{\{([^{}]*)\}\}/g

/** A template in its pieces: what is said as it is, and the holes. */
export function pieces(template: string): Piece[] {
  const all: Piece[] = []
  let from = 0
  for (const found of template.matchAll(HOLE)) {
    if (found.index > from) all.push({ text: template.slice(from, found.index) })
    const [name = '', ...rest] = (found[1] ?? '').split('|')
    const variable = name.trim()
    all.push({
      variable,
      otherwise: rest.length > 0 ? rest.join('|').trim() : undefined,
      known: (VARIABLES as readonly string[]).includes(variable),
    })
    from = found.index + found[0].length
  }
  if (from < template.length) all.push({ text: template.slice(from) })
  return all
}

/** The variables of a template that the hub does not know. */
export const unknown = (template: string): string[] =>
  pieces(template).flatMap((piece) => ('variable' in piece && !piece.known ? [piece.variable] : []))

/** The template filled in; what is missing and has no word of its own stays as it is written. */
export function filled(template: string, values: Partial<Record<Variable, string>>): string {
  return pieces(template)
    .map((piece) => {
      if ('text' in piece) return piece.text
      return values[piece.variable as Variable] || piece.otherwise || `{{${piece.variable}}}`
    })
    .join('')
}

/** Why a shortcut cannot be one; nothing if it can. */
export const badShortcut = (text: string): boolean => !/^[^\s/]{1,50}$/u.test(text)
