/**
 * Texts made comparable for looking things up: case, accents, Arabic vowel signs, tatweel, the forms of alef, ya and ta
 * marbuta, and Arabic digits make no difference, as in the hub's own search.
 */
const LETTERS: Record<string, string> = { أ: 'ا', إ: 'ا', آ: 'ا', ٱ: 'ا', ى: 'ي', ئ: 'ي', ة: 'ه', ؤ: 'و' }

export function fold(text: string): string {
  return text
    .replace(/[أإآٱىئةؤ]/g, (letter) => LETTERS[letter] ?? letter)
    .normalize('NFKD')
    .replace(/[\p{M}\u0640]/gu, '')
    .replace(/[\u0660-\u0669]/g, (digit) => String(digit.charCodeAt(0) - 0x0660))
    .replace(/[\u06f0-\u06f9]/g, (digit) => String(digit.charCodeAt(0) - 0x06f0))
    .toLowerCase()
    .trim()
}

/** How well words are found in a text: 0 not at all; more if it begins with them. */
export function match(text: string, words: string): number {
  const folded = fold(text)
  const wanted = fold(words)
  if (wanted === '') return 1
  if (folded.startsWith(wanted)) return 4
  const parts = wanted.split(/\s+/)
  if (!parts.every((part) => folded.includes(part))) return 0
  const begins = parts.every((part) => folded.startsWith(part) || folded.includes(` ${part}`))
  return begins ? 3 : 2
}
