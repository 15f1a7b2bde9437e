/**
 * The one script of the web chat: `<script async src="https://hub/widget.js" data-channel="…"></script>`.
 *
 * It asks the hub for the channel's settings, shows the button, keeps the visitors' socket, and gives the frame what there is
 * to show. It reads no cookie, loads nothing from anywhere else, and leaves one name in the page: `SalerChat`.
 */
import type { components } from '../../src/api/schema'
import type { SocketLike } from '../../src/live/socket'
import type { FromFrame, Language, Look, UploadedFile } from '../shared/between'
import { isColor } from '../shared/color'
import { Chat } from './chat'
import { Memory } from './kept'
import { Launcher } from './launcher'

type Widget = components['schemas']['VisitorWidget']
/** A statement of the site's server on who the visitor is, or what fetches one. */
type Identity = string | (() => string | Promise<string>)

export interface SalerChat {
  open(): void
  close(): void
  /** The site knows who the visitor is. Give a function if the page may stay open: each statement is good for minutes. */
  identify(identity: Identity): Promise<void>
  /** The visitor has signed out of the site: forgets what this browser keeps of them. */
  signOut(): void
}

declare global {
  interface Window {
    SalerChat?: SalerChat
  }
}

/** Attempts to get the channel's settings, and the pause before the second, in milliseconds; it doubles. */
const ATTEMPTS = 5
const PAUSE_MS = 2_000

function storage(of: 'localStorage' | 'sessionStorage'): Storage | undefined {
  try {
    return window[of]
  } catch {
    return undefined
  }
}

/** The site's id of the person of whom a statement speaks. Whether it is true, the hub alone judges. */
function personOf(statement: string): string {
  const claims = statement.split('.')[1] ?? ''
  try {
    const bytes = Uint8Array.from(atob(claims.replace(/-/g, '+').replace(/_/g, '/')), (one) => one.charCodeAt(0))
    return String((JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown }).sub)
  } catch {
    return ''
  }
}

function key(): string {
  // Pages without https have no `randomUUID`.
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Uploads a file. Without a content type, the browser asks the hub nothing before. */
async function upload(url: string, file: File): Promise<UploadedFile | undefined> {
  const answer = await fetch(`${url}?name=${encodeURIComponent(file.name)}`, {
    method: 'POST',
    body: new Blob([file]),
    credentials: 'omit',
  })
  if (answer.ok) return (await answer.json()) as UploadedFile
  if (answer.status < 500) return undefined
  throw new Error(`the hub answers ${answer.status}`)
}

function one<T extends string>(text: string | undefined, choices: readonly T[]): T | undefined {
  return choices.find((choice) => choice === text)
}

function lookOf(settings: Widget['settings'], data: DOMStringMap): Look {
  const spoken = data.language ?? (document.documentElement.lang || navigator.language)
  const language: Language = /^ar\b/i.test(spoken) ? 'ar' : 'en'
  return {
    language,
    theme: one(data.theme, ['auto', 'light', 'dark']) ?? settings.theme ?? 'auto',
    color: isColor(data.color) ? data.color : isColor(settings.color) ? settings.color : undefined,
    title: data.title ?? settings.title ?? undefined,
    greeting: data.greeting ?? settings.greeting ?? undefined,
    ask: settings.ask ?? [],
  }
}

async function settingsOf(hub: URL, channel: string): Promise<Widget['settings'] | undefined> {
  const address = new URL(`api/v1/visitor/widget?channel=${encodeURIComponent(channel)}`, hub)
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    try {
      const answer = await fetch(address, { credentials: 'omit' })
      if (answer.ok) return ((await answer.json()) as Widget).settings
      if (answer.status < 500) break
    } catch {
      // The network, or a page whose origin the hub does not allow: the browser tells them apart for nobody.
    }
    await new Promise((done) => setTimeout(done, PAUSE_MS * 2 ** attempt))
  }
  console.warn(
    `Saler: there is no chat here. Is ${location.origin} among the sites of channel ${channel}, and is it on?`,
  )
  return undefined
}

async function start(script: HTMLScriptElement): Promise<void> {
  const channel = script.dataset.channel ?? ''
  const hub = new URL('.', script.src)
  let identity: Identity | undefined = script.dataset.identity || undefined
  let wantsOpen: boolean | undefined
  let begun: { launcher: Launcher; use: () => Promise<void>; forget: () => void } | undefined

  const toggle = (open: boolean) => {
    wantsOpen = open
    begun?.launcher.toggle(open)
  }
  window.SalerChat = {
    open: () => toggle(true),
    close: () => toggle(false),
    identify: async (given) => {
      identity = given
      await begun?.use()
    },
    signOut: () => {
      begun?.forget()
      identity = undefined
      void begun?.use()
    },
  }
  const settings = await settingsOf(hub, channel)
  if (!settings) return

  const look = lookOf(settings, script.dataset)
  const openedKey = `saler.chat.${channel}.open`
  const session = storage('sessionStorage')
  let chat: Chat | undefined
  let memory: Memory | undefined
  let told = false

  const show = () => {
    // Several changes at once are one message to the frame.
    if (told) return
    told = true
    queueMicrotask(() => {
      told = false
      if (chat) launcher.show(chat.talk, chat.unread)
    })
  }
  const attend = () => chat?.attend(launcher.open && !document.hidden)
  const heard = (message: FromFrame) => {
    if (message.what === 'begin') chat?.begin(message.told)
    else if (message.what === 'send') chat?.send(message.text)
    else if (message.what === 'attach') for (const file of message.files) chat?.attach(file)
    else if (message.what === 'again') chat?.again(message.id)
    else if (message.what === 'typing') chat?.type()
    else if (message.what === 'earlier') chat?.lookBack()
  }
  const launcher = new Launcher({
    frame: new URL(`widget/frame?channel=${encodeURIComponent(channel)}`, hub).href,
    look,
    position: one(script.dataset.position, ['start', 'end']) ?? settings.position ?? 'end',
    heard,
    opened: (open) => {
      try {
        if (open) session?.setItem(openedKey, '1')
        else session?.removeItem(openedKey)
      } catch {
        // There is no storage.
      }
      attend()
    },
  })
  const socket = new URL(`api/v1/visitor?channel=${encodeURIComponent(channel)}`, hub)
  socket.protocol = socket.protocol.replace('http', 'ws')

  /** Begins the conversation of whoever the visitor is now. */
  const use = async () => {
    const given = identity
    const fetched = typeof given === 'function' ? await given() : given
    if (given !== identity) return
    chat?.stop()
    let first = fetched
    const next = async () => {
      const statement = first ?? (typeof given === 'function' ? await given() : (given ?? ''))
      first = undefined
      return statement
    }
    memory = new Memory(storage('localStorage'), channel, fetched === undefined ? undefined : personOf(fetched))
    chat = new Chat({
      open: () => new WebSocket(socket, 'saler.v1') as SocketLike,
      ...(fetched === undefined ? {} : { identity: next }),
      asks: look.ask.length > 0,
      upload,
      memory,
      now: Date.now,
      random: Math.random,
      after: (ms, run) => {
        const timer = setTimeout(run, ms)
        return () => clearTimeout(timer)
      },
      key,
      changed: show,
    })
    attend()
    show()
  }
  begun = { launcher, use, forget: () => memory?.clear() }
  await use()

  addEventListener('online', () => chat?.nudge())
  addEventListener('offline', () => chat?.cut())
  addEventListener('pagehide', () => chat?.pause())
  addEventListener('pageshow', () => chat?.resume())
  addEventListener('storage', (event) => {
    if (event.key?.startsWith(`saler.chat.${channel}.`)) chat?.recount()
  })
  document.addEventListener('visibilitychange', attend)
  if (wantsOpen ?? session?.getItem(openedKey) === '1') launcher.toggle(true)
}

const script = document.currentScript ?? document.querySelector('script[data-channel][src*="/widget.js"]')
if (script instanceof HTMLScriptElement && !window.SalerChat) void start(script)
