/** The body of a dead letter as something to read: a form in lines, JSON with its indents, anything else as it came. */

function bytesOf(base64: string): Uint8Array {
  const raw = atob(base64)
  return Uint8Array.from(raw, (one) => one.charCodeAt(0))
}

export function readable(base64: string, contentType: string): string {
  let bytes: Uint8Array
  try {
    bytes = bytesOf(base64)
  } catch {
    return base64
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    // No text: every byte as it is.
    return Array.from(bytes, (one) => one.toString(16).padStart(2, '0')).join(' ')
  }
  if (/urlencoded/i.test(contentType)) {
    return [...new URLSearchParams(text)].map(([name, value]) => `${name} = ${value}`).join('\n')
  }
  if (/json/i.test(contentType)) {
    try {
      return JSON.stringify(JSON.parse(text), null, 2)
    } catch {
      return text
    }
  }
  return text
}
