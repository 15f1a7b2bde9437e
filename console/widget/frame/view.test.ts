import { beforeEach, describe, expect, it } from 'vitest'
import type { FromFrame, Look, Shown, Talk } from '../shared/between'
import { readableOn } from '../shared/color'
import { linked } from './dom'
import { fault } from './form'
import { TEXTS } from './texts'
import { View } from './view'

const LOOK: Look = { language: 'en', theme: 'auto', color: undefined, title: undefined, greeting: undefined, ask: [] }
const QUIET: Talk = { link: 'live', asks: false, messages: [], typing: false, earlier: 'none' }
const shown = (id: string, text: string, more: Partial<Shown> = {}): Shown => ({
  id,
  from: 'agent',
  text,
  attachments: [],
  at: '2026-11-22T09:00:00Z',
  ...more,
})

function view(look: Partial<Look> = {}) {
  const told: FromFrame[] = []
  return { view: new View({ ...LOOK, ...look }, (message) => told.push(message)), told }
}

beforeEach(() => document.body.replaceChildren())

describe('the chat', () => {
  it('shows foreign texts as texts and leads only to the web', () => {
    const { view: one } = view()
    const url = 'javascript:alert(1)'
    const evil = shown('a', '<img src=x onerror=alert(1)> https://a.example/x?y=1.', {
      attachments: [{ url, content_type: 'image/png', name: '<b>' }],
    })
    one.show({ ...QUIET, messages: [evil] })
    expect(document.querySelector('ol img')).toBeNull()
    const links = [...document.querySelectorAll('ol a')].map((link) => link.getAttribute('href'))
    expect(links).toEqual(['https://a.example/x?y=1'])
    expect(document.querySelector('ol')?.textContent).toContain('<img src=x onerror=alert(1)>')
  })

  it('leaves a message in its place while it goes from waiting to sent', () => {
    const { view: one, told } = view()
    const own = shown('key:1', 'hello', { from: 'visitor', state: 'waiting' })
    one.show({ ...QUIET, messages: [own] })
    const node = document.querySelector('.own')
    expect(node?.textContent).toContain('Waiting')
    one.show({ ...QUIET, messages: [shown('b', 'welcome'), { ...own, state: 'failed' }] })
    expect(document.querySelector('.own')).toBe(node)
    node?.querySelector('button')?.click()
    expect(told).toEqual([{ what: 'again', id: 'key:1' }])
  })

  it('is Arabic from right to left, and says what is wrong with the connection', () => {
    const { view: one } = view({ language: 'ar' })
    expect([document.documentElement.dir, document.documentElement.lang]).toEqual(['rtl', 'ar'])
    one.show({ ...QUIET, link: 'offline' })
    expect(document.querySelector('.status')?.textContent).toBe(TEXTS.ar.offline)
    one.show(QUIET)
    expect(document.querySelector<HTMLElement>('.status')?.hidden).toBe(true)
  })

  it('takes Enter for sending, and not while a word is being composed', () => {
    const { view: one, told } = view()
    one.show(QUIET)
    const field = document.querySelector('textarea')
    if (!field) throw new Error('no field')
    field.value = ' hello '
    field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true }))
    field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', shiftKey: true }))
    expect(told).toEqual([])
    field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }))
    expect(told).toEqual([{ what: 'send', text: 'hello' }])
    expect(field.value).toBe('')
  })

  it('asks first where it must, and takes a number as people write it', () => {
    const ask = [
      { field: 'name', required: true },
      { field: 'phone', required: false },
    ] as const
    const { view: one, told } = view({ ask: [...ask] })
    one.show({ ...QUIET, asks: true })
    const form = document.querySelector<HTMLFormElement>('form.before')
    form?.requestSubmit()
    expect(told).toEqual([])
    expect(form?.textContent).toContain('Write your name.')
    const [name, phone] = document.querySelectorAll('input')
    if (name) name.value = 'Amal'
    if (phone) phone.value = '+966 50 000 0000'
    form?.requestSubmit()
    expect(told).toEqual([{ what: 'begin', told: { name: 'Amal', phone: '+966500000000' } }])
  })
})

describe('parts', () => {
  it('find addresses in a text', () => {
    const parts = linked('see (https://a.example/b), أو https://b.example؟ end').map((part) =>
      typeof part === 'string' ? part : `[${part.textContent}]`,
    )
    expect(parts.join('')).toBe('see ([https://a.example/b]), أو [https://b.example]؟ end')
  })

  it('judge what was asked', () => {
    expect(fault({ field: 'email', required: false }, '')).toBeUndefined()
    expect(fault({ field: 'email', required: true }, ' ')).toBe('wrong_email')
    expect(fault({ field: 'phone', required: false }, '0501')).toBe('wrong_phone')
  })

  it('write on a colour what can be read there', () => {
    expect([readableOn('#ffee00'), readableOn('#12715b'), readableOn('#000000')]).toEqual([
      '#000000',
      '#ffffff',
      '#ffffff',
    ])
  })

  it('say the same in both languages', () => {
    expect(Object.keys(TEXTS.ar)).toEqual(Object.keys(TEXTS.en))
  })
})
