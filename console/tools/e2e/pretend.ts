/**
 * A pretended hub inside the page, for figures that must not depend on a real one: a workspace of `conversations`, each with
 * `messages` messages, over `fetch` and a socket whose frames the page itself sends by `window.pretend.push`.
 */
export interface Size {
  conversations: number
  messages: number
}

declare global {
  interface Window {
    pretend: { push: (count: number) => number; newest: () => number }
  }
}

/** Runs in the page before anything else; it can refer to nothing outside. */
export function pretend({ conversations, messages }: Size): void {
  const ME = '00000000-0000-7000-8000-000000000001'
  const id = (index: number) => `00000000-0000-7000-9000-${String(index).padStart(12, '0')}`
  const at = (second: number) => new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString().replace('Z', '000Z')
  let newest = messages
  const words =
    'where is my order please it should have come yesterday thank you أين طلبي من فضلك كان يجب أن يصل أمس'.split(' ')
  const message = (seq: number) => ({
    id: `m${seq}`,
    conversation_id: id(0),
    seq,
    direction: seq % 3 === 0 ? 'outbound' : 'inbound',
    author: seq % 3 === 0 ? { type: 'agent', user_id: ME } : { type: 'contact', contact_id: id(0) },
    body: { text: `#${seq} ${words.slice(seq % 5, (seq % 5) + 3 + (seq % 9)).join(' ')}` },
    created_at: at(seq),
    ...(seq % 3 === 0 ? { status: 'delivered' } : {}),
  })
  const conversation = (index: number) => ({
    id: id(index),
    channel_id: 'channel',
    contact_id: id(index),
    contact_name: `Customer ${index}`,
    contact_address: '+966500000000',
    status: 'open',
    created_at: at(0),
    opened_at: at(0),
    last_activity_at: at(index === 0 ? 1e6 + newest : conversations - index),
    last_seq: index === 0 ? newest : 1,
    inbound_count: index === 0 ? newest : 1,
    reads: {},
    labels: index % 7 === 0 ? ['vip'] : [],
    last_message: {
      seq: 1,
      direction: 'inbound',
      author: { type: 'contact', contact_id: id(index) },
      preview: words.slice(index % 5).join(' '),
      at: at(1),
    },
  })
  const me = {
    user_id: ME,
    email: 'a@b.test',
    name: 'Sara',
    workspace_id: 'w',
    role: 'manager',
    workspaces: [{ workspace_id: 'w', name: 'W', role: 'manager' }],
  }
  const answer = (path: string, query: URLSearchParams): unknown => {
    const limit = Number(query.get('limit') ?? 50)
    if (path.startsWith('/auth/')) return { access_token: 't', refresh_token: 'r', expires_in: 3600, me }
    if (path === '/conversations') {
      const from = Number(query.get('cursor') ?? 0)
      const items = Array.from({ length: Math.min(limit, conversations - from) }, (_, index) =>
        conversation(from + index),
      )
      return { items, next_cursor: from + limit < conversations ? String(from + limit) : null }
    }
    if (path === '/conversations/counts') return { views: {}, notifications: 0 }
    if (path.endsWith('/messages')) {
      const after = Number(query.get('after_seq') ?? 0)
      return {
        items: Array.from({ length: Math.max(0, Math.min(limit, newest - after)) }, (_, index) =>
          message(after + index + 1),
        ),
      }
    }
    if (/^\/conversations\/[^/]+(\/read)?$/.test(path)) return conversation(Number(path.split('/')[2]?.slice(-12)))
    if (path.startsWith('/contacts/') && !path.endsWith('conversations'))
      return { id: id(0), identities: [], created_at: at(0) }
    return { items: [] }
  }
  window.fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : String(input), location.href)
    void init
    if (!url.pathname.startsWith('/api/v1')) throw new Error('not pretended')
    return new Response(JSON.stringify(answer(url.pathname.slice(7), url.searchParams)), {
      headers: { 'Content-Type': 'application/json' },
    })
  }
  localStorage.setItem('saler.session', 'r')
  localStorage.setItem('saler.language', 'en')
  localStorage.setItem('saler.alerts', '{"sound":false}')

  let socket: PretendedSocket | undefined
  let offset = 0
  class PretendedSocket {
    onopen: (() => void) | null = null
    onclose: ((event: { code: number }) => void) | null = null
    onmessage: ((event: { data: string }) => void) | null = null
    constructor() {
      socket = this
      setTimeout(() => this.say({ op: 'hello', v: 1, conn: 'c', hb: 25000, max_in: 65536, auth_in: 5000 }))
    }
    say(...frames: object[]): void {
      this.onmessage?.({ data: frames.map((frame) => JSON.stringify(frame)).join('\n') })
    }
    send(text: string): void {
      const frame = JSON.parse(text) as { op: string; id: number }
      if (frame.op !== 'auth') return
      const ready = { op: 'ready', id: frame.id, user_id: ME, cur: 'c', resumed: false, replay: 0, expires_at: at(0) }
      setTimeout(() => this.say(ready))
    }
    close(): void {}
  }
  window.WebSocket = PretendedSocket as unknown as typeof WebSocket
  window.pretend = {
    push(count) {
      const frames = Array.from({ length: count }, () => {
        newest += 1
        offset += 1
        const d = {
          event: { type: 'message_added', message: message(newest) },
          conversation: conversation(0),
          actor: { type: 'system' },
          at: at(0),
        }
        return { op: 'ev', p: [0, offset], d }
      })
      socket?.say(...frames)
      return newest
    },
    newest: () => newest,
  }
}
