/** Mentions in notes: `@Name` in the text, ids for the hub. Pure. */
interface Person {
  user_id: string
  name: string
}

/** Longer names first: `@Sara Ali` is not `@Sara`. */
const longestFirst = <T extends Person>(people: Iterable<T>): T[] =>
  [...people].sort((a, b) => b.name.length - a.name.length)

export type Piece = { text: string } | { text: string; user_id: string }

/** A text cut at its mentions. */
export function pieces(text: string, people: Iterable<Person>): Piece[] {
  const known = longestFirst(people)
  const cut: Piece[] = []
  let plain = 0
  for (let at = text.indexOf('@'); at >= 0; at = text.indexOf('@', at + 1)) {
    const person = known.find((one) => one.name !== '' && text.startsWith(one.name, at + 1))
    if (!person) continue
    const end = at + 1 + person.name.length
    // `@Sara` in `@Sarah` is not her.
    if (/^[\p{L}\p{N}]/u.test(text.slice(end))) continue
    if (at > plain) cut.push({ text: text.slice(plain, at) })
    cut.push({ text: text.slice(at, end), user_id: person.user_id })
    plain = end
    at = end - 1
  }
  if (plain < text.length) cut.push({ text: text.slice(plain) })
  return cut
}

/** Whom a text mentions. */
export function mentioned(text: string, people: Iterable<Person>): string[] {
  return [...new Set(pieces(text, people).flatMap((piece) => ('user_id' in piece ? [piece.user_id] : [])))]
}
