/** Queries in addresses. */

/** A query as a part of an address after `#`, which no server sees. */
export function packed(sql: string): string {
  const bytes = new TextEncoder().encode(sql)
  let raw = ''
  for (const byte of bytes) raw += String.fromCharCode(byte)
  return `q=${btoa(raw).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')}`
}

/** The query of such an address; nothing if there is none. */
export function unpacked(hash: string): string | undefined {
  const found = /^#?q=([\w-]+)$/.exec(hash)
  if (!found?.[1]) return undefined
  try {
    const raw = atob(found[1].replaceAll('-', '+').replaceAll('_', '/'))
    return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(raw, (one) => one.charCodeAt(0)))
  } catch {
    return undefined
  }
}
