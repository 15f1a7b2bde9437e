/** Files that the browser makes of what the page shows. */

export function download(name: string, content: Blob | string, type = 'text/plain'): void {
  const address = URL.createObjectURL(typeof content === 'string' ? new Blob([content], { type }) : content)
  follow(name, address)
  // The browser reads it after this turn.
  setTimeout(() => URL.revokeObjectURL(address), 10_000)
}

export function follow(name: string, address: string): void {
  const link = document.createElement('a')
  link.href = address
  link.download = name
  link.click()
}

/** A field of CSV as the hub writes it: quoted if it must be, and no formula to a spreadsheet. */
export function field(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const raw = typeof value === 'object' ? JSON.stringify(value) : String(value)
  const safe = /^[=+\-@\t\r]/.test(raw) && !/^[+-][\d.]+$/.test(raw) ? `'${raw}` : raw
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** RFC 4180, with the mark by which spreadsheets know that it is UTF-8. */
export const csv = (head: readonly string[], rows: readonly (readonly unknown[])[]): string =>
  `\ufeff${[head, ...rows].map((row) => row.map(field).join(',')).join('\r\n')}\r\n`

/** A name for a file: what it is, and when it was made. */
export function fileName(title: string, ending: string, now = new Date()): string {
  const day = `${now.getFullYear()}-${String(now.getMonth() + 1).padStart(2, '0')}-${String(now.getDate()).padStart(2, '0')}`
  const clean = title.replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-+|-+$/g, '')
  return `${clean || 'saler'}-${day}.${ending}`
}

/** What an answer of SQL is as JSON: one object a row; a name that comes twice gets a number. */
export function asObjects(columns: readonly { name: string }[], rows: readonly (readonly unknown[])[]): object[] {
  const names: string[] = []
  for (const { name } of columns) {
    let unique = name
    for (let n = 2; names.includes(unique); n += 1) unique = `${name}_${n}`
    names.push(unique)
  }
  return rows.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at] ?? null])))
}
