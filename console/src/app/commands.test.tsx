import { act } from 'react'
import { createRoot, type Root } from 'react-dom/client'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Command, commands, keysOn, nameOf, switchKeys, useCommands } from './commands'

const plain = { ctrlKey: false, metaKey: false, altKey: false, shiftKey: false }
const command = (id: string, keys: string, run: () => void): Command => ({ id, title: id, group: 'g', keys, run })

function Offering({ all }: { all: Command[] }) {
  useCommands(all)
  return <input aria-label="field" />
}

describe('a key', () => {
  it('is named by its place, so that an Arabic layout works as well', () => {
    expect(nameOf({ ...plain, key: 'ث', code: 'KeyE' })).toBe('KeyE')
    expect(nameOf({ ...plain, key: 'A', code: 'KeyA', shiftKey: true })).toBe('Shift+KeyA')
    expect(nameOf({ ...plain, key: 'k', code: 'KeyK', ctrlKey: true })).toBe('Mod+KeyK')
    expect(nameOf({ ...plain, key: 'k', code: 'KeyK', metaKey: true })).toBe('Mod+KeyK')
    expect(nameOf({ ...plain, key: '؟', code: 'Slash', shiftKey: true })).toBe('?')
    expect(nameOf({ ...plain, key: 'e', code: 'KeyE', altKey: true })).toBe('')
  })
})

describe('commands', () => {
  const place = document.createElement('div')
  let root: Root
  const done: string[] = []
  const press = (code: string, target: EventTarget = document.body, more: object = {}) =>
    target.dispatchEvent(new KeyboardEvent('keydown', { code, key: code, bubbles: true, cancelable: true, ...more }))

  beforeEach(() => {
    ;(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true
    document.body.append(place)
    root = createRoot(place)
    done.length = 0
  })
  afterEach(() => {
    act(() => root.unmount())
    switchKeys(true)
  })

  it('run by their keys while their component is there, the innermost first', () => {
    act(() =>
      root.render(
        <>
          <Offering
            all={[command('outer', 'KeyE', () => done.push('outer')), command('same', 'KeyX', () => done.push('x'))]}
          />
          <Offering
            all={[command('inner', 'KeyE', () => done.push('inner')), command('same', 'KeyY', () => done.push('y'))]}
          />
        </>,
      ),
    )
    press('KeyE')
    press('KeyX')
    press('KeyY')
    expect(done).toEqual(['inner', 'y'])
    act(() => root.render(null))
    press('KeyE')
    expect(done).toEqual(['inner', 'y'])
    expect(commands()).toEqual([])
  })

  it('leave fields alone, but for Escape and keys with Ctrl', () => {
    act(() =>
      root.render(
        <Offering
          all={[
            command('e', 'KeyE', () => done.push('e')),
            command('k', 'Mod+KeyK', () => done.push('k')),
            command('escape', 'Escape', () => done.push('escape')),
          ]}
        />,
      ),
    )
    const field = place.querySelector('input') as HTMLInputElement
    press('KeyE', field)
    press('KeyK', field, { ctrlKey: true })
    press('Escape', field)
    expect(done).toEqual(['k', 'escape'])
  })

  it('can be switched off for keys without a modifier', () => {
    act(() => root.render(<Offering all={[command('e', 'KeyE', () => done.push('e'))]} />))
    switchKeys(false)
    expect(keysOn.getState().on).toBe(false)
    press('KeyE')
    expect(done).toEqual([])
    switchKeys(true)
    press('KeyE')
    expect(done).toEqual(['e'])
  })
})
