/** A customer's site: pages of another origin that hold the chat, with styles that would break anything that they reach. */
import { createServer, type Server } from 'node:http'

/** What a page of the site is like. */
interface ShopPage {
  /** Attributes of the script tag besides the channel. */
  attributes?: string
  language?: string
  hostile?: boolean
}

/** Rules that no widget should have to live with. */
const HOSTILE = `
* { all: unset !important; color: transparent !important; font-size: 1px !important; transform: scale(0.2) rotate(90deg) !important; }
iframe, button, div, saler-chat, html > * { display: none !important; visibility: hidden !important; pointer-events: none !important; opacity: 0 !important; z-index: -1 !important; position: static !important; width: 0 !important; height: 0 !important; }
html { transform: none !important; }
`

export class Shop {
  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async open(hub: string, channel: string, pages: Record<string, ShopPage>): Promise<Shop> {
    const server = createServer((request, response) => {
      const page = pages[(request.url ?? '/').split('?')[0] ?? '/']
      response.statusCode = page ? 200 : 404
      response.setHeader('Content-Type', 'text/html; charset=utf-8')
      response.setHeader('Set-Cookie', 'basket=secret')
      response.end(`<!doctype html><html lang="${page?.language ?? 'en'}"><head><title>Shop</title>
        <style>${page?.hostile ? HOSTILE : ''}</style>
        <script>
          // Every look at the page's cookies is counted.
          window.cookieReads = 0
          const found = Object.getOwnPropertyDescriptor(Document.prototype, 'cookie')
          Object.defineProperty(document, 'cookie', { get() { window.cookieReads += 1; return found.get.call(document) } })
        </script>
        <script async src="${hub}/widget.js" data-channel="${channel}" ${page?.attributes ?? ''}></script>
        </head><body><main><h1>Shop</h1><p>Things to buy.</p></main></body></html>`)
    })
    const port = await new Promise<number>((found) => {
      server.listen(0, '127.0.0.1', () => {
        const address = server.address()
        found(typeof address === 'object' && address ? address.port : 0)
      })
    })
    // Another site than the hub's, not only another port.
    return new Shop(server, `http://localhost:${port}`)
  }

  close(): Promise<void> {
    return new Promise((done) => {
      this.server.closeAllConnections()
      this.server.close(() => done())
    })
  }
}
