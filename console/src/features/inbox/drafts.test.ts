import { expect, it, vi } from 'vitest'
import { type Draft, draftOf, draftsKey, keepDraft } from './drafts'

const who = vi.hoisted(() => ({ me: undefined as { workspace_id: string; user_id: string } | undefined }))
vi.mock('../../app/live', () => ({
  live: () => {
    if (!who.me) throw new Error('nobody is signed in')
    return who
  },
}))

const draft = (text: string): Draft => ({ mode: 'message', text })

it('a draft stays where it was begun, whoever is signed in when it is kept', () => {
  who.me = { workspace_id: 'one', user_id: 'u' }
  const key = draftsKey()
  keepDraft('c', draft('first'), key)
  expect(draftOf('c').text).toBe('first')

  who.me = { workspace_id: 'two', user_id: 'u' }
  expect(draftOf('c').text).toBe('')
  keepDraft('c', draft('second'), key)
  expect(draftOf('c').text).toBe('')

  who.me = undefined
  keepDraft('d', draft('third'), key)

  who.me = { workspace_id: 'one', user_id: 'u' }
  expect([draftOf('c').text, draftOf('d').text]).toEqual(['second', 'third'])
})
