import { afterEach, describe, expect, it } from 'vitest'
import type { CannedReply } from '../../api/types'
import { fold, match } from '../../i18n/fold'
import { firstName, matching, rendered, triggerAt, unfilled } from './canned'
import { mentioned, pieces } from './mentions'
import { clearSelection, selectAll, selection, selectTo, toggleSelected } from './selection'
import { parseMoment, snoozes } from './snooze'

describe('canned replies', () => {
  it('take what is known, the word instead of what is not, and name what is left', () => {
    const text =
      'Hello {{ contact.first_name|there }}, {{agent.name}} here. Your mail: {{contact.email}}, {{contact.email}}.'
    expect(rendered(text, { 'contact.first_name': 'Sara', 'agent.name': 'Huda', 'contact.email': 's@x.test' })).toEqual(
      {
        text: 'Hello Sara, Huda here. Your mail: s@x.test, s@x.test.',
        missing: [],
      },
    )
    expect(rendered(text, { 'agent.name': 'Huda', 'contact.email': null })).toEqual({
      text: 'Hello there, Huda here. Your mail: {{contact.email}}, {{contact.email}}.',
      missing: ['contact.email'],
    })
  })

  it('do not let a text through whose variables are not filled in', () => {
    expect(unfilled('Your code is {{ contact.phone }}.')).toEqual(['contact.phone'])
    expect(unfilled('Braces {like these} are a text')).toEqual([])
  })

  it('are found by shortcut before text, in Arabic whatever the spelling', () => {
    const reply = (shortcut: string, text: string): CannedReply => ({ shortcut, text, updated_at: '' })
    const all = [reply('thanks', 'welcome any time'), reply('welcome', 'Hello'), reply('شكرا', 'أهلًا بك')]
    expect(matching(all, 'wel').map((one) => one.shortcut)).toEqual(['welcome', 'thanks'])
    expect(matching(all, 'شُكْراً').map((one) => one.shortcut)).toEqual(['شكرا'])
    expect(matching(all, 'اهلا').map((one) => one.shortcut)).toEqual(['شكرا'])
    expect(matching(all, '')).toHaveLength(3)
    expect(matching(all, 'nothing like it')).toEqual([])
  })

  it('are offered at a slash that begins a word, up to the caret', () => {
    expect(triggerAt('/he', 3)).toEqual({ sign: '/', words: 'he', from: 0 })
    expect(triggerAt('well /', 6)).toEqual({ sign: '/', words: '', from: 5 })
    expect(triggerAt('well /he and more', 8)).toEqual({ sign: '/', words: 'he', from: 5 })
    expect(triggerAt('and/or', 6)).toBeUndefined()
    expect(triggerAt('https://x', 9)).toBeUndefined()
    expect(triggerAt('ask @Hu', 7)).toEqual({ sign: '@', words: 'Hu', from: 4 })
    expect(triggerAt('a@b', 3)).toBeUndefined()
  })

  it('know the first of the names', () => {
    expect(firstName('  Sara Al Otaibi ')).toBe('Sara')
    expect(firstName('')).toBeUndefined()
    expect(firstName(null)).toBeUndefined()
  })
})

describe('mentions', () => {
  const people = [
    { user_id: '1', name: 'Sara' },
    { user_id: '2', name: 'Sara Ali' },
    { user_id: '3', name: 'هدى' },
  ]
  it('are the longest names after the sign, whole', () => {
    expect(mentioned('@Sara Ali and @هدى، look', people)).toEqual(['2', '3'])
    expect(mentioned('@Sara, @Sara', people)).toEqual(['1'])
    expect(mentioned('@Sarah sara @', people)).toEqual([])
  })
  it('cut a text without losing any of it', () => {
    const text = 'ask @Sara, then @Sara Ali!'
    expect(pieces(text, people).map((piece) => piece.text)).toEqual(['ask ', '@Sara', ', then ', '@Sara Ali', '!'])
    expect(pieces('nobody', people)).toEqual([{ text: 'nobody' }])
  })
})

describe('putting off', () => {
  const now = new Date(2026, 10, 22, 15, 0)
  it('offers what lies ahead, soonest first', () => {
    expect(snoozes(now).map((one) => one.id)).toEqual(['hour', 'hours', 'evening', 'tomorrow', 'week'])
    expect(snoozes(new Date(2026, 10, 22, 17, 30)).map((one) => one.id)).not.toContain('evening')
    const at = snoozes(now).find((one) => one.id === 'tomorrow')?.until
    expect(at).toEqual(new Date(2026, 10, 23, 9, 0))
  })

  it('reads what somebody writes', () => {
    expect(parseMoment('20m', now)).toEqual(new Date(2026, 10, 22, 15, 20))
    expect(parseMoment(' 2 hours ', now)).toEqual(new Date(2026, 10, 22, 17, 0))
    expect(parseMoment('3 س', now)).toEqual(new Date(2026, 10, 22, 18, 0))
    expect(parseMoment('2w', now)).toEqual(new Date(2026, 11, 6, 15, 0))
    expect(parseMoment('17:30', now)).toEqual(new Date(2026, 10, 22, 17, 30))
    expect(parseMoment('09:15', now)).toEqual(new Date(2026, 10, 23, 9, 15))
    expect(parseMoment('2026-12-01', now)).toEqual(new Date(2026, 11, 1, 9, 0))
    expect(parseMoment('2026-12-01 17:30', now)).toEqual(new Date(2026, 11, 1, 17, 30))
  })
  it('takes neither the past, nor what is no moment, nor more than a year', () => {
    for (const words of ['', 'soon', '0m', '25:00', '2026-02-31', '2026-11-01', '9999d', '2028-01-01']) {
      expect(parseMoment(words, now), words).toBeUndefined()
    }
  })
})

describe('looking up', () => {
  it('makes the same of what differs only in spelling', () => {
    expect(fold('أَحْمَد')).toBe(fold('احمد'))
    expect(fold('مكتبـــة')).toBe(fold('مكتبه'))
    expect(fold('Zoë')).toBe('zoe')
    expect(fold('٠٥٠١')).toBe('0501')
  })
  it('puts beginnings first', () => {
    expect(match('Assign to me', 'assign')).toBeGreaterThan(match('Do assign', 'assign'))
    expect(match('Do assign', 'assign')).toBeGreaterThan(match('Reassign', 'assign'))
    expect(match('Reassign', 'unassign')).toBe(0)
  })
})

describe('the selection', () => {
  afterEach(clearSelection)
  const ids = () => [...selection.getState().ids]
  it('marks one, a range, all, and nothing', () => {
    const list = ['a', 'b', 'c', 'd']
    toggleSelected('b')
    selectTo('d', list)
    expect(ids()).toEqual(['b', 'c', 'd'])
    toggleSelected('c')
    expect(ids()).toEqual(['b', 'd'])
    selectAll(list)
    expect(ids()).toEqual(list)
    clearSelection()
    expect(ids()).toEqual([])
    selectTo('c', list)
    expect(ids()).toEqual(['c'])
  })
})
