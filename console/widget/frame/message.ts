/** One message of the chat. */
import type { Attachment, FromFrame, Shown } from '../shared/between'
import { h, linked } from './dom'
import type { Texts } from './texts'

export type Tell = (message: FromFrame) => void

/** Only what is fetched safely is shown or led to. */
const isSafe = (url: string) => /^https?:\/\//i.test(url)

function attached(one: Attachment, texts: Texts): Node {
  const name = one.name || texts.file
  if (!isSafe(one.url)) return h('span', { class: 'file' }, h('bdi', {}, name))
  const link = { href: one.url, target: '_blank', rel: 'noopener noreferrer nofollow' }
  if (/^image\/(png|jpeg|gif|webp|avif)$/.test(one.content_type)) {
    return h('a', link, h('img', { src: one.url, alt: name, loading: 'lazy', referrerpolicy: 'no-referrer' }))
  }
  return h('a', { ...link, class: 'file' }, h('bdi', {}, name))
}

/** The place of a message in the list: made once, filled anew when something of it changes. */
export class Row {
  readonly node = h('li')
  private drawn = ''

  constructor(
    private readonly texts: Texts,
    private readonly times: Intl.DateTimeFormat,
    private readonly tell: Tell,
  ) {}

  draw(one: Shown): void {
    const now = JSON.stringify(one)
    if (now === this.drawn) return
    this.drawn = now
    const { texts } = this
    const own = one.from === 'visitor'
    this.node.className = own ? `own ${one.state ?? ''}` : 'theirs'
    const time = h('time', { datetime: one.at }, this.times.format(new Date(one.at)))
    const meta = h('p', { class: 'meta' }, time)
    // What has arrived needs no word for eyes; those who listen hear it.
    if (one.state === 'sent') meta.append(h('span', { class: 'heard' }, ` ${texts.sent}`))
    else if (one.state) meta.append(` · ${texts[one.state]}`)
    if (one.state === 'failed') {
      const again = h('button', { type: 'button', class: 'link' }, texts.again)
      again.addEventListener('click', () => this.tell({ what: 'again', id: one.id }))
      meta.append(' ', again)
    }
    const who = own ? texts.you : one.from === 'bot' ? texts.bot : texts.agent
    const says = h('div', { class: 'says' }, h('span', { class: 'heard' }, `${who}: `))
    if (one.text) says.append(h('p', { dir: 'auto' }, ...linked(one.text)))
    for (const file of one.attachments) says.append(attached(file, texts))
    this.node.replaceChildren(says, meta)
  }
}
