/**
 * What was written and is not confirmed: sent in the order in which it was written, conversation by conversation, again and
 * again with the same key while the hub cannot be reached, so that it arrives once.
 */
import { failure } from '../api/client'
import type { Message, UploadedFile } from '../api/types'
import type { HubPort } from './ports'
import type { Pending } from './state'

/** The longest wait between two tries of a send, and the first. */
const RETRY_MOST_MS = 15_000
const RETRY_FIRST_MS = 700
/** The hub knows a key for 24 hours; a send that is older is not repeated by itself. */
const KEY_GOOD_MS = 23 * 3600_000

export interface OutboxPorts {
  hub: Pick<HubPort, 'send' | 'note'>
  now(): number
  after(ms: number, run: () => void): () => void
  key(): string
  pending(): readonly Pending[]
  put(pending: readonly Pending[]): void
  /** The hub has taken one. */
  sent(one: Pending, message: Message): void
}

/** What a message carries besides its text. */
export interface Carried {
  mentions?: readonly string[]
  attachments?: readonly UploadedFile[]
}

export class Outbox {
  private readonly busy = new Set<string>()
  private readonly wakes = new Set<() => void>()
  private ended = false

  constructor(private readonly ports: OutboxPorts) {}

  end(): void {
    this.ended = true
  }

  send(conversation_id: string, kind: Pending['kind'], text: string, more: Carried = {}): void {
    const { mentions = [], attachments = [] } = more
    const one: Pending = {
      key: this.ports.key(),
      conversation_id,
      kind,
      text,
      ...(mentions.length > 0 ? { mentions: [...mentions] } : {}),
      ...(attachments.length > 0 ? { attachments: [...attachments] } : {}),
      at: this.ports.now(),
      state: 'sending',
    }
    this.ports.put([...this.ports.pending(), one])
    void this.sendIn(conversation_id)
  }

  /** What an earlier visit left unsent. */
  resume(pending: readonly Pending[]): void {
    const tooOld = { code: 'too_old', reason: '' }
    const now = this.ports.now()
    this.ports.put(
      pending.map((one) =>
        now - one.at > KEY_GOOD_MS && one.state !== 'failed' ? { ...one, state: 'failed', error: tooOld } : one,
      ),
    )
    this.sendAll()
  }

  retry(key: string): void {
    this.patch(key, { state: 'sending', error: undefined })
    const one = this.ports.pending().find((other) => other.key === key)
    if (one) void this.sendIn(one.conversation_id)
  }

  /** Takes one out: it has arrived, or is given up. */
  settle(key: string): void {
    const pending = this.ports.pending()
    if (pending.some((one) => one.key === key)) this.ports.put(pending.filter((one) => one.key !== key))
  }

  /** Tries everything at once: the hub is back. */
  sendAll(): void {
    for (const wake of [...this.wakes]) wake()
    for (const id of new Set(this.ports.pending().map((one) => one.conversation_id))) void this.sendIn(id)
  }

  private patch(key: string, part: Partial<Pending>): void {
    this.ports.put(this.ports.pending().map((one) => (one.key === key ? { ...one, ...part } : one)))
  }

  private async sendIn(id: string): Promise<void> {
    if (this.busy.has(id)) return
    this.busy.add(id)
    let tries = 0
    try {
      for (;;) {
        const one = this.ports.pending().find((other) => other.conversation_id === id && other.state !== 'failed')
        if (!one || this.ended) return
        try {
          const { hub } = this.ports
          const { key, text, mentions = [], attachments = [] } = one
          this.ports.sent(
            one,
            await (one.kind === 'note' ? hub.note(id, key, text, mentions) : hub.send(id, key, text, attachments)),
          )
          tries = 0
        } catch (error) {
          const why = failure(error)
          if (!why.temporary) {
            this.patch(one.key, { state: 'failed', error: { code: why.code, reason: why.message } })
            continue
          }
          this.patch(one.key, { state: 'waiting' })
          tries += 1
          await this.wait(Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** Math.min(tries - 1, 6)))
        }
      }
    } finally {
      this.busy.delete(id)
    }
  }

  private wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel()
        this.wakes.delete(done)
        resolve()
      }
      const cancel = this.ports.after(ms, done)
      this.wakes.add(done)
    })
  }
}
