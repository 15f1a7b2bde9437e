/**
 * What stands on the customer's page: a button and, once it is opened, a frame with the chat. Both are in a closed shadow
 * tree of an element of a name of its own. Its styles are `!important` on the host, and among important rules those of a
 * shadow tree win over the page's, so nothing that the page's CSS says reaches it; from the page nothing is inherited either.
 */
import type { FromFrame, Language, Look, Talk, ToFrame } from '../shared/between'
import { readableOn } from '../shared/color'
import { icon } from '../shared/icon'

const BRAND = '#12715b'
/** Below this width, in CSS pixels, the chat takes the whole screen. */
const NARROW = 480

const TEXTS: Record<Language, { open: string; close: string; chat: string; unread: (count: number) => string }> = {
  en: {
    open: 'Open the chat',
    close: 'Close the chat',
    chat: 'Chat',
    unread: (count) => (count === 1 ? '1 new message' : `${count} new messages`),
  },
  ar: {
    open: 'فتح المحادثة',
    close: 'إغلاق المحادثة',
    chat: 'المحادثة',
    unread: (count) => {
      if (count === 1) return 'رسالة جديدة واحدة'
      if (count === 2) return 'رسالتان جديدتان'
      return count <= 10 ? `${count} رسائل جديدة` : `${count} رسالة جديدة`
    },
  },
}

/** The side is physical, as the corner of the page is; everything else follows the direction. */
const styles = (look: Look, side: 'left' | 'right') => `
:host {
  all: initial !important;
  display: block !important;
  position: fixed !important;
  inset: auto !important;
  width: 0 !important;
  height: 0 !important;
  z-index: 2147483647 !important;
  direction: ${look.language === 'ar' ? 'rtl' : 'ltr'} !important;
  unicode-bidi: isolate !important;
}
button {
  all: unset;
  position: fixed;
  bottom: 20px;
  ${side}: 20px;
  width: 56px;
  height: 56px;
  border-radius: 50%;
  background: ${look.color ?? BRAND};
  color: ${readableOn(look.color ?? BRAND)};
  cursor: pointer;
  box-shadow: 0 4px 16px rgb(0 0 0 / 0.28);
  display: grid;
  place-items: center;
}
button:focus-visible {
  outline: 3px solid ${look.color ?? BRAND};
  outline-offset: 3px;
}
svg { width: 26px; height: 26px; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.badge {
  position: absolute;
  top: -4px;
  inset-inline-end: -4px;
  box-sizing: border-box;
  min-width: 22px;
  height: 22px;
  padding: 0 6px;
  border-radius: 11px;
  background: #b3261e;
  color: #fff;
  font: 600 13px/22px system-ui, sans-serif;
  text-align: center;
}
.panel {
  position: fixed;
  bottom: 88px;
  ${side}: 20px;
  width: min(380px, calc(100vw - 40px));
  height: min(640px, calc(100dvh - 108px));
  border-radius: 14px;
  overflow: hidden;
  box-shadow: 0 8px 40px rgb(0 0 0 / 0.3);
  visibility: hidden;
  opacity: 0;
  transform: translateY(8px);
  transition: opacity 0.15s, transform 0.15s, visibility 0.15s;
}
.panel.open { visibility: visible; opacity: 1; transform: none; }
iframe { display: block; border: 0; width: 100%; height: 100%; color-scheme: normal; }
.said { position: fixed; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
[hidden] { display: none; }
@media (max-width: ${NARROW}px) {
  .panel { inset: 0; width: 100%; height: 100%; border-radius: 0; }
  .panel.open + button { display: none; }
}
@media (prefers-reduced-motion: reduce) { .panel { transition: none; transform: none; } }
@media print { button, .panel { display: none; } }
`

export interface LauncherPorts {
  /** Where the frame's page is. */
  frame: string
  look: Look
  position: 'start' | 'end'
  /** The chat was opened or closed. */
  opened(open: boolean): void
  /** The frame says something. */
  heard(message: FromFrame): void
}

export class Launcher {
  private readonly host = document.createElement('saler-chat')
  private readonly root = this.host.attachShadow({ mode: 'closed' })
  private readonly button = document.createElement('button')
  private readonly badge = document.createElement('span')
  private readonly said = document.createElement('span')
  private readonly panel = document.createElement('div')
  private readonly chatIcon = icon('M21 12a8 8 0 0 1-8 8H4l2-3a8 8 0 1 1 15-5Z')
  private readonly closeIcon = icon('M6 9l6 6 6-6')
  private frame: HTMLIFrameElement | undefined
  private port: MessagePort | undefined
  private talk: Talk | undefined
  private isOpen = false
  private unread = 0

  constructor(private readonly ports: LauncherPorts) {
    const { look, position } = ports
    const texts = TEXTS[look.language]
    const side = (position === 'end') === (look.language === 'ar') ? 'left' : 'right'
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(styles(look, side))
    this.root.adoptedStyleSheets = [sheet]
    this.host.lang = look.language
    this.panel.className = 'panel'
    this.panel.setAttribute('role', 'dialog')
    this.panel.setAttribute('aria-label', look.title ?? texts.chat)
    this.panel.id = 'panel'
    this.button.type = 'button'
    this.button.setAttribute('aria-haspopup', 'dialog')
    this.button.setAttribute('aria-controls', 'panel')
    this.badge.className = 'badge'
    this.badge.setAttribute('aria-hidden', 'true')
    this.said.className = 'said'
    this.said.setAttribute('role', 'status')
    this.button.append(this.chatIcon, this.closeIcon, this.badge)
    this.button.addEventListener('click', () => this.toggle(!this.isOpen))
    // The frame's page comes while the visitor still moves to the button.
    for (const sign of ['pointerenter', 'focus'])
      this.button.addEventListener(sign, () => this.prepare(), { once: true })
    this.root.addEventListener('keydown', (event) => {
      if (this.isOpen && (event as KeyboardEvent).key === 'Escape') this.toggle(false)
    })
    this.root.append(this.panel, this.button, this.said)
    this.draw()
    document.documentElement.append(this.host)
  }

  get open(): boolean {
    return this.isOpen
  }

  toggle(open: boolean): void {
    if (open === this.isOpen) return
    this.isOpen = open
    if (open) this.prepare()
    this.draw()
    this.ports.opened(open)
    if (open) this.enter()
    else this.button.focus()
  }

  /** Shows what was said; `unread` is what the visitor has not seen. */
  show(talk: Talk, unread: number): void {
    this.talk = talk
    this.tell({ what: 'talk', talk })
    if (unread === this.unread) return
    const more = unread > this.unread
    this.unread = unread
    this.draw()
    if (more && !this.isOpen) this.said.textContent = TEXTS[this.ports.look.language].unread(unread)
  }

  private draw(): void {
    const texts = TEXTS[this.ports.look.language]
    const count = this.isOpen ? 0 : this.unread
    this.panel.classList.toggle('open', this.isOpen)
    this.panel.inert = !this.isOpen
    this.button.setAttribute('aria-expanded', String(this.isOpen))
    const label = this.isOpen ? texts.close : texts.open
    this.button.setAttribute('aria-label', count > 0 ? `${label}, ${texts.unread(count)}` : label)
    this.chatIcon.toggleAttribute('hidden', this.isOpen)
    this.closeIcon.toggleAttribute('hidden', !this.isOpen)
    this.badge.hidden = count === 0
    this.badge.textContent = count > 99 ? '99+' : String(count)
    if (this.isOpen) this.said.textContent = ''
  }

  /** Makes the frame. Its page has no origin of its own, by this attribute and by its policy. */
  private prepare(): void {
    if (this.frame) return
    const frame = document.createElement('iframe')
    frame.title = TEXTS[this.ports.look.language].chat
    frame.setAttribute('sandbox', 'allow-scripts allow-forms allow-popups allow-popups-to-escape-sandbox')
    frame.referrerPolicy = 'no-referrer'
    frame.addEventListener('load', () => this.connect(frame))
    frame.src = this.ports.frame
    this.frame = frame
    this.panel.append(frame)
  }

  private connect(frame: HTMLIFrameElement): void {
    this.port?.close()
    const channel = new MessageChannel()
    this.port = channel.port1
    channel.port1.onmessage = (event: MessageEvent<FromFrame>) => {
      if (event.data.what === 'close') this.toggle(false)
      else this.ports.heard(event.data)
    }
    // A page without an origin can be named by none.
    frame.contentWindow?.postMessage('saler-chat', '*', [channel.port2])
    this.tell({ what: 'look', look: this.ports.look })
    if (this.talk) this.tell({ what: 'talk', talk: this.talk })
    if (this.isOpen) this.enter()
  }

  private enter(): void {
    this.frame?.focus()
    this.tell({ what: 'opened' })
  }

  private tell(message: ToFrame): void {
    this.port?.postMessage(message)
  }
}
