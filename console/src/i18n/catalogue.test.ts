import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, type Token } from '@messageformat/parser'
import { describe, expect, it } from 'vitest'
import ar from './ar.icu.json'
import en from './en.icu.json'
import { speak, t } from './index'

const texts: Record<'ar' | 'en', Record<string, string>> = { ar, en }

function placeholders(text: string): string[] {
  const found = new Set<string>()
  const walk = (tokens: Token[]) => {
    for (const token of tokens) {
      if ('arg' in token && token.arg) found.add(token.arg)
      if ('cases' in token) for (const one of token.cases) walk(one.tokens)
    }
  }
  walk(parse(text))
  return [...found].sort()
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? sources(join(folder, entry.name))
      : /\.tsx?$/.test(entry.name)
        ? [join(folder, entry.name)]
        : [],
  )
}

describe('the catalogues', () => {
  it('say the same things in both languages', () => {
    expect(Object.keys(ar)).toEqual(Object.keys(en))
    for (const [key, text] of Object.entries(texts.en)) {
      expect(placeholders(texts.ar[key] ?? ''), key).toEqual(placeholders(text))
      expect(texts.ar[key]?.trim(), key).not.toBe('')
    }
  })

  it('have all six forms wherever Arabic counts', () => {
    for (const [key, text] of Object.entries(texts.ar)) {
      for (const token of parse(text)) {
        if (token.type !== 'plural') continue
        expect(token.cases.map((one) => one.key).sort(), key).toEqual(['few', 'many', 'one', 'other', 'two', 'zero'])
      }
    }
  })

  it('use the form that the number asks for', async () => {
    await speak('ar', false)
    const forms = [0, 1, 2, 3, 11, 100].map((count) => t('list.count', { count }))
    expect(forms).toEqual(['لا محادثات', 'محادثة واحدة', 'محادثتان', '3 محادثات', '11 محادثة', '100 محادثة'])
    expect(document.documentElement.dir).toBe('rtl')
    await speak('en', false)
    expect(t('list.count', { count: 1 })).toBe('1 conversation')
    expect(document.documentElement.dir).toBe('ltr')
  })
})

describe('the sources', () => {
  it('lay out by the direction of the text, never by left and right', () => {
    const physical =
      /[\s"'`:](?:-?m[lr]|p[lr]|left|right|rounded-[lr]|border-[lr]|rounded-[tb][lr])-[\w[.]|text-(?:left|right)\b/
    for (const path of sources(join(__dirname, '..'))) {
      if (path.includes('.test.') || path.endsWith('schema.d.ts')) continue
      expect(readFileSync(path, 'utf8').match(physical)?.[0], path).toBeUndefined()
    }
  })
})
