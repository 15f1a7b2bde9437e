/** What the hub will accept, told while somebody writes. Each returns the id of a sentence, or nothing if all is well. */
import type { MessageId } from '../../i18n'

type Check = MessageId | undefined

/** Brings a number that was pasted with spaces, dashes, `whatsapp:` or Arabic digits into E.164. */
export function tidyNumber(text: string): string {
  const latin = text
    .trim()
    .replace(/^whatsapp:/i, '')
    .replace(/[٠-٩]/g, (digit) => String(digit.charCodeAt(0) - 0x660))
    .replace(/[۰-۹]/g, (digit) => String(digit.charCodeAt(0) - 0x6f0))
    .replace(/[\s().\-\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')
  return latin.replace(/^00(?=\d)/, '+')
}

export const checkNumber = (text: string): Check =>
  /^\+\d{7,15}$/.test(tidyNumber(text)) ? undefined : 'settings.check.number'

export const checkAddress = (text: string): Check =>
  checkNumber(text) === undefined || /^MG[0-9a-fA-F]{32}$/.test(text.trim()) ? undefined : 'settings.check.address'

export const checkSid = (text: string): Check =>
  /^AC[0-9a-fA-F]{32}$/.test(text.trim()) ? undefined : 'settings.check.sid'

export const checkSecret = (text: string): Check =>
  /^[\x21-\x7e]{16,256}$/.test(text) ? undefined : 'settings.check.secret'

export const checkName = (text: string): Check => {
  const length = Array.from(text.trim()).length
  return length >= 1 && length <= 100 ? undefined : 'settings.check.name'
}

export const checkHours = (text: string): Check =>
  /^\d{1,4}$/.test(text) && Number(text) <= 8760 ? undefined : 'settings.check.hours'

export const checkCapacity = (text: string): Check =>
  /^\d{1,5}$/.test(text) && Number(text) <= 10000 ? undefined : 'settings.check.capacity'

export const checkPassword = (text: string): Check => (text.length >= 12 ? undefined : 'settings.check.password')

export const checkEmail = (text: string): Check =>
  /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(text.trim()) ? undefined : 'settings.check.email'

const MOST_ORIGINS = 50

/** Origins, one a line; `https://shop.example/` is taken for `https://shop.example`. */
export function origins(text: string): { list: string[]; wrong: string | undefined } {
  const list: string[] = []
  for (const line of text.split(/[\s,]+/).filter(Boolean)) {
    try {
      const url = new URL(line)
      if (!/^https?:$/.test(url.protocol) || (url.pathname !== '/' && url.pathname !== '')) return { list, wrong: line }
      list.push(url.origin)
    } catch {
      return { list, wrong: line }
    }
  }
  return list.length > MOST_ORIGINS ? { list, wrong: list[MOST_ORIGINS] } : { list, wrong: undefined }
}
