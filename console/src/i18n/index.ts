/** The two languages: which one is spoken, its catalogue, its direction. Catalogues are compiled by the build. */
import { setupI18n } from '@lingui/core'
import { createStore } from 'zustand/vanilla'
import { store } from '../app/storage'
import type catalogue from './en.icu.json'

export type Language = 'ar' | 'en'
export type MessageId = keyof typeof catalogue

export const i18n = setupI18n()

export const language = createStore<{ language: Language }>()(() => ({ language: 'en' }))

/** Parts of the catalogue, by the first word of their keys, that are loaded with the pages that need them. */
export type Part = 'board' | 'sql' | 'settings'

type Texts = import('@lingui/core').Messages
const load: Record<Language, () => Promise<{ default: Texts }>> = {
  ar: () => import('virtual:messages/ar'),
  en: () => import('virtual:messages/en'),
}
const loadPart: Record<Language, Record<Part, () => Promise<{ default: Texts }>>> = {
  ar: {
    board: () => import('virtual:messages/ar/board'),
    sql: () => import('virtual:messages/ar/sql'),
    settings: () => import('virtual:messages/ar/settings'),
  },
  en: {
    board: () => import('virtual:messages/en/board'),
    sql: () => import('virtual:messages/en/sql'),
    settings: () => import('virtual:messages/en/settings'),
  },
}

/** The parts that have been asked for: another language brings them as well. */
const learned = new Set<Part>()

export const directionOf = (one: Language): 'rtl' | 'ltr' => (one === 'ar' ? 'rtl' : 'ltr')

async function activate(one: Language): Promise<void> {
  const all = await Promise.all([load[one](), ...[...learned].map((part) => loadPart[one][part]())])
  const messages = Object.assign({}, ...all.map((texts) => texts.default))
  // Latin digits in both: what Arabic business software shows by default.
  i18n.loadAndActivate({ locale: one, locales: one === 'ar' ? ['ar-u-nu-latn'] : ['en-GB'], messages })
}

/** Loads a part of the catalogue; its texts are there when this ends. */
export async function learn(part: Part): Promise<void> {
  if (learned.has(part)) return
  const one = language.getState().language
  const texts = (await loadPart[one][part]()).default
  learned.add(part)
  if (i18n.locale === one) i18n.load(one, texts)
  else await activate(i18n.locale as Language)
}

export async function speak(one: Language, remember: boolean): Promise<void> {
  await activate(one)
  document.documentElement.lang = one
  document.documentElement.dir = directionOf(one)
  document.title = i18n._('app.name')
  if (remember) store('saler.language', one)
  language.setState({ language: one })
}

/** The text of a message in the spoken language. */
export function t(id: MessageId, values?: Record<string, unknown>): string {
  return i18n._(id, values)
}
