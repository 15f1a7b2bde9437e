/** The form before the first message, of a visitor whom the site does not know. */
import { checkEmail, checkNumber, tidyNumber } from '../../src/features/settings/checks'
import type { AskedField, Look, Told } from '../shared/between'
import { h } from './dom'
import { TEXTS } from './texts'

const KINDS = {
  name: { type: 'text', autocomplete: 'name', inputmode: 'text' },
  email: { type: 'email', autocomplete: 'email', inputmode: 'email', dir: 'ltr' },
  phone: { type: 'tel', autocomplete: 'tel', inputmode: 'tel', dir: 'ltr' },
} as const

/** What is wrong with a value; nothing if it can be taken. */
export function fault(asked: AskedField, text: string): `wrong_${AskedField['field']}` | undefined {
  const value = text.trim()
  const fits =
    value === ''
      ? !asked.required
      : asked.field === 'name' ||
        (asked.field === 'email' ? checkEmail(value) === undefined : checkNumber(value) === undefined)
  return fits ? undefined : `wrong_${asked.field}`
}

export function form(look: Look, done: (told: Told) => void): HTMLFormElement {
  const texts = TEXTS[look.language]
  const fields = look.ask.map((asked) => {
    const { field, required } = asked
    const input = h('input', { ...KINDS[field], id: field, name: field, maxlength: '128', required: required === true })
    input.setAttribute('aria-describedby', `${field}-wrong`)
    const wrong = h('p', { id: `${field}-wrong`, class: 'wrong' })
    const label = h('label', { for: field }, texts[field], !required && ` (${texts.optional})`)
    const check = () => {
      const found = fault(asked, input.value)
      wrong.textContent = found ? texts[found] : ''
      input.toggleAttribute('aria-invalid', found !== undefined)
      return found === undefined
    }
    input.addEventListener('input', () => wrong.textContent && check())
    return { field, input, check, node: h('div', { class: 'field' }, label, input, wrong) }
  })
  const node = h(
    'form',
    { class: 'before', novalidate: true },
    h('h2', {}, texts.before),
    ...fields.map((one) => one.node),
    h('button', { type: 'submit', class: 'main' }, texts.begin),
  )
  node.addEventListener('submit', (event) => {
    event.preventDefault()
    const wrong = fields.filter((one) => !one.check())
    if (wrong[0]) {
      wrong[0].input.focus()
      return
    }
    const told: Told = {}
    for (const { field, input } of fields) {
      const value = field === 'phone' ? tidyNumber(input.value) : input.value.trim()
      if (value) told[field] = value
    }
    done(told)
  })
  return node
}
