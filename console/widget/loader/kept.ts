/**
 * What the widget keeps in the browser, in the page's own storage: a visitor's token, what they told of themselves, how far
 * they have read, and what they wrote that the hub does not have yet. Each message has a place of its own, so that two tabs
 * never overwrite each other's. Where the browser gives no storage, everything is kept until the page is left.
 */
import type { Told } from '../shared/between'

/** The most messages that wait for a connection. */
export const MOST_WAITING = 50

export interface Kept {
  key: string
  text: string
  /** When it was written, in milliseconds since 1970. */
  at: number
}

export interface Place {
  conversation_id: string
  seq: number
}

export class Memory {
  private readonly instead = new Map<string, string>()

  /** `person` is the site's own id of somebody whom it knows; nothing of theirs is mixed with anybody else's. */
  constructor(
    private readonly storage: Storage | undefined,
    channel: string,
    private readonly person: string | undefined,
  ) {
    this.prefix = `saler.chat.${channel}.${person === undefined ? '' : `of.${person}.`}`
  }

  readonly prefix: string

  /** The token for the next connection. That of a person whom the site knows is never stored: the site says anew who they are. */
  get token(): string | undefined {
    return this.person === undefined ? this.read('token') : this.instead.get('token')
  }
  set token(token: string | undefined) {
    if (this.person === undefined) this.write('token', token)
    else if (token === undefined) this.instead.delete('token')
    else this.instead.set('token', token)
  }

  /** Whether there is a conversation that may go on. */
  get spoken(): boolean {
    return this.read('spoken') !== undefined
  }
  set spoken(spoken: boolean) {
    this.write('spoken', spoken ? '1' : undefined)
  }

  get told(): Told | undefined {
    return this.parse<Told>('told')
  }
  set told(told: Told | undefined) {
    this.write('told', told && JSON.stringify(told))
  }

  get seen(): Place | undefined {
    return this.parse<Place>('seen')
  }
  set seen(place: Place | undefined) {
    this.write('seen', place && JSON.stringify(place))
  }

  /** What waits, first written first. */
  waiting(): Kept[] {
    const found: Kept[] = []
    for (const name of this.names()) {
      if (!name.startsWith('out.')) continue
      const one = this.parse<Kept>(name)
      if (one && typeof one.text === 'string' && typeof one.at === 'number') found.push({ ...one, key: name.slice(4) })
    }
    return found.sort((one, other) => one.at - other.at)
  }

  keep(one: Kept): void {
    this.write(`out.${one.key}`, JSON.stringify({ text: one.text, at: one.at }))
  }

  drop(key: string): void {
    this.write(`out.${key}`, undefined)
  }

  /** Forgets everything, as when a person signs out of the site. */
  clear(): void {
    for (const name of this.names()) this.write(name, undefined)
    this.instead.clear()
  }

  private names(): string[] {
    const all = [...this.instead.keys()]
    try {
      for (let at = 0; at < (this.storage?.length ?? 0); at += 1) {
        const name = this.storage?.key(at)
        if (name?.startsWith(this.prefix)) all.push(name.slice(this.prefix.length))
      }
    } catch {
      // There is no storage.
    }
    return [...new Set(all)]
  }

  private parse<T>(name: string): T | undefined {
    const text = this.read(name)
    if (text === undefined) return undefined
    try {
      return JSON.parse(text) as T
    } catch {
      return undefined
    }
  }

  private read(name: string): string | undefined {
    try {
      const text = this.storage?.getItem(this.prefix + name)
      if (typeof text === 'string') return text
    } catch {
      // There is no storage.
    }
    return this.instead.get(name)
  }

  private write(name: string, text: string | undefined): void {
    try {
      if (!this.storage) throw new Error('there is no storage')
      if (text === undefined) this.storage.removeItem(this.prefix + name)
      else this.storage.setItem(this.prefix + name, text)
      this.instead.delete(name)
    } catch {
      if (text === undefined) this.instead.delete(name)
      else this.instead.set(name, text)
    }
  }
}
