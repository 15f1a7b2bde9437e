/** The chat as the visitor sees it. */
import { type Look, MOST_CHARACTERS, type Talk } from '../shared/between'
import { readableOn } from '../shared/color'
import { icon } from '../shared/icon'
import { arrange, h } from './dom'
import { form } from './form'
import { Row, type Tell } from './message'
import { LOCALES, TEXTS, type Texts } from './texts'

/** How near to its end the list follows what comes, in CSS pixels. */
const NEAR = 48

export class View {
  private readonly texts: Texts
  private readonly times: Intl.DateTimeFormat
  private readonly days: Intl.DateTimeFormat
  private readonly rows = new Map<string, Row>()
  private readonly dayRows = new Map<string, HTMLElement>()
  private readonly list: HTMLElement
  private readonly scroll: HTMLElement
  private readonly greeting: HTMLElement
  private readonly earlier: HTMLButtonElement
  private readonly status = h('p', { class: 'status', role: 'status' })
  private readonly typing: HTMLElement
  private readonly field: HTMLTextAreaElement
  private readonly composer: HTMLFormElement
  private readonly before: HTMLFormElement
  private wasLoading = false

  constructor(
    private readonly look: Look,
    private readonly tell: Tell,
  ) {
    const texts = TEXTS[look.language]
    this.texts = texts
    this.times = new Intl.DateTimeFormat(LOCALES[look.language], { hour: '2-digit', minute: '2-digit' })
    this.days = new Intl.DateTimeFormat(LOCALES[look.language], { dateStyle: 'medium' })
    this.dress()
    const close = h(
      'button',
      { type: 'button', class: 'icon', 'aria-label': texts.close },
      icon('M6 6l12 12M18 6 6 18'),
    )
    close.addEventListener('click', () => tell({ what: 'close' }))
    this.earlier = h('button', { type: 'button', class: 'link' }, texts.earlier)
    this.earlier.addEventListener('click', () => tell({ what: 'earlier' }))
    this.greeting = h('p', { class: 'greeting', dir: 'auto' }, look.greeting ?? texts.greeting)
    this.list = h('ol')
    this.typing = h('p', { class: 'typing' })
    // Who scrolls by keys must be able to get there.
    this.scroll = h('div', { class: 'scroll', tabindex: '0', role: 'log', 'aria-label': texts.messages })
    this.scroll.append(this.earlier, this.greeting, this.list, this.typing)
    this.field = h('textarea', {
      rows: '1',
      'aria-label': texts.write,
      placeholder: texts.write,
      maxlength: String(MOST_CHARACTERS),
      enterkeyhint: 'send',
    })
    this.composer = h(
      'form',
      { class: 'composer' },
      ...this.attaching(),
      this.field,
      h('button', { type: 'submit', class: 'icon send', 'aria-label': texts.send }, icon('M4 12 20 4l-6 16-3-7-7-1Z')),
    )
    this.before = form(look, (told) => {
      tell({ what: 'begin', told })
      // The answer shows the composer; the focus follows to it.
      this.entering = true
    })
    this.listen()
    const title = h('h1', { dir: 'auto' }, look.title ?? texts.title)
    document.body.append(
      h('header', {}, title, close),
      h('main', {}, this.scroll, this.before, this.status, this.composer),
    )
  }

  private entering = false

  /** The chat was opened: where to write comes first. */
  enter(): void {
    const place = this.composer.hidden ? this.before.querySelector('input') : this.field
    place?.focus()
    this.scroll.scrollTop = this.scroll.scrollHeight
  }

  show(talk: Talk): void {
    const { scroll, texts } = this
    const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR
    const height = scroll.scrollHeight
    const length = this.rows.size
    this.before.hidden = !talk.asks
    this.composer.hidden = talk.asks
    this.greeting.hidden = talk.messages.length > 0
    this.earlier.hidden = talk.earlier === 'none'
    this.earlier.disabled = talk.earlier === 'loading'
    this.earlier.textContent = talk.earlier === 'loading' ? texts.loading : texts.earlier
    this.set(this.typing, talk.typing ? texts.typing : '')
    this.set(this.status, talk.link === 'live' || talk.link === 'idle' ? '' : texts[talk.link])
    this.status.dataset.link = talk.link
    this.fill(talk)
    const sent = this.rows.size > length && talk.messages.at(-1)?.from === 'visitor'
    if (this.wasLoading && talk.earlier !== 'loading') scroll.scrollTop += scroll.scrollHeight - height
    else if (atEnd || sent || length === 0) scroll.scrollTop = scroll.scrollHeight
    this.wasLoading = talk.earlier === 'loading'
    if (this.entering && !talk.asks) {
      this.entering = false
      this.enter()
    }
  }

  /** The button for files, and what it opens; they can be pasted and dropped, too. */
  private attaching(): Node[] {
    const chooser = h('input', { type: 'file', multiple: true, hidden: true })
    const attach = (files: FileList | null | undefined, event?: Event) => {
      if (!files?.length || this.composer.hidden) return
      event?.preventDefault()
      this.tell({ what: 'attach', files: [...files] })
    }
    chooser.addEventListener('change', () => {
      attach(chooser.files)
      chooser.value = ''
    })
    document.addEventListener('paste', (event) => attach(event.clipboardData?.files, event))
    document.addEventListener('dragover', (event) => event.preventDefault())
    document.addEventListener('drop', (event) => {
      event.preventDefault()
      attach(event.dataTransfer?.files)
    })
    const clip = icon('M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.3 3.3 0 0 1 4.7 4.7L9.5 17a1.7 1.7 0 0 1-2.4-2.4L14.5 7')
    const button = h('button', { type: 'button', class: 'icon', 'aria-label': this.texts.attach }, clip)
    button.addEventListener('click', () => chooser.click())
    return [chooser, button]
  }

  private set(element: HTMLElement, text: string): void {
    if (element.textContent !== text) element.textContent = text
    element.hidden = text === ''
  }

  private fill(talk: Talk): void {
    const nodes: Node[] = []
    const ids = new Set<string>()
    let day = ''
    for (const one of talk.messages) {
      const its = this.days.format(new Date(one.at))
      if (its !== day) nodes.push(this.dayRow(its))
      day = its
      ids.add(one.id)
      let row = this.rows.get(one.id)
      if (!row) {
        row = new Row(this.texts, this.times, this.tell)
        this.rows.set(one.id, row)
      }
      row.draw(one)
      nodes.push(row.node)
    }
    for (const id of [...this.rows.keys()]) if (!ids.has(id)) this.rows.delete(id)
    arrange(this.list, nodes)
  }

  private dayRow(day: string): HTMLElement {
    let row = this.dayRows.get(day)
    if (!row) {
      row = h('li', { class: 'day' }, day === this.days.format(new Date()) ? this.texts.today : day)
      this.dayRows.set(day, row)
    }
    return row
  }

  private listen(): void {
    const { field, composer } = this
    const send = () => {
      const text = field.value.trim()
      if (!text) return
      this.tell({ what: 'send', text })
      field.value = ''
      this.grow()
      field.focus()
    }
    composer.addEventListener('submit', (event) => {
      event.preventDefault()
      send()
    })
    field.addEventListener('input', () => {
      field.dir = field.value ? 'auto' : ''
      this.grow()
      if (field.value.trim()) this.tell({ what: 'typing' })
    })
    field.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
      event.preventDefault()
      send()
    })
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !event.isComposing) this.tell({ what: 'close' })
    })
  }

  /** The field is as high as its text, up to what the style allows. */
  private grow(): void {
    this.field.style.height = 'auto'
    this.field.style.height = `${this.field.scrollHeight}px`
  }

  private dress(): void {
    const { look } = this
    const root = document.documentElement
    root.lang = look.language
    root.dir = look.language === 'ar' ? 'rtl' : 'ltr'
    if (look.theme !== 'auto') root.dataset.theme = look.theme
    document.title = look.title ?? this.texts.title
    if (!look.color) return
    root.style.setProperty('--brand', look.color)
    root.style.setProperty('--on-brand', readableOn(look.color))
  }
}
