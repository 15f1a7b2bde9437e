/** The two languages: which one is spoken, its catalogue, its direction. Catalogues are compiled by the build. */
import { setupI18n } from '@lingui/core'
import { createStore } from 'zustand/vanilla'
import type catalogue from './en.icu.json'

export type Language = 'ar' | 'en'
export type MessageId = keyof typeof catalogue

export const i18n = setupI18n()

export const language = createStore<{ language: Language }>()(() => ({ language: 'en' }))

const load = {
  ar: () => import('virtual:messages/ar'),
  en: () => import('virtual:messages/en'),
} satisfies Record<Language, () => Promise<unknown>>

export const directionOf = (one: Language): 'rtl' | 'ltr' => (one === 'ar' ? 'rtl' : 'ltr')

export async function speak(one: Language, remember: boolean): Promise<void> {
  const messages = (await load[one]()).default
  // Latin digits in both: what Arabic business software shows by default.
  i18n.loadAndActivate({ locale: one, locales: one === 'ar' ? ['ar-u-nu-latn'] : ['en-GB'], messages })
  document.documentElement.lang = one
  document.documentElement.dir = directionOf(one)
  document.title = i18n._('app.name')
  if (remember) {
    try {
      localStorage.setItem('saler.language', one)
    } catch {
      // It holds for this visit.
    }
  }
  language.setState({ language: one })
}

/** The text of a message in the spoken language. */
export function t(id: MessageId, values?: Record<string, unknown>): string {
  return i18n._(id, values)
}
