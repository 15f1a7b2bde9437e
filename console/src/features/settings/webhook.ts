/** Whether a provider on the internet can reach an address. */

export type Reach = 'public' | 'plain' | 'private'

const PRIVATE = [
  /^localhost$/,
  /\.(local|internal|localhost|test)$/,
  /^127\./,
  /^10\./,
  /^192\.168\./,
  /^172\.(1[6-9]|2\d|3[01])\./,
  /^169\.254\./,
  /^0\.0\.0\.0$/,
  /^\[?(::1?|f[cd][0-9a-f]{2}:.*|fe80:.*)\]?$/,
]

/** `private`: not at all; `plain`: yes, but over HTTP, so that everybody on the way reads along. */
export function reach(address: string): Reach {
  let url: URL
  try {
    url = new URL(address)
  } catch {
    return 'private'
  }
  const host = url.hostname.toLowerCase()
  if (PRIVATE.some((one) => one.test(host)) || (!host.includes('.') && !host.includes(':'))) return 'private'
  return url.protocol === 'https:' ? 'public' : 'plain'
}
