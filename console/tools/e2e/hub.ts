/**
 * A hub of its own for each test file, in a new folder, with the demo's people and channels and the provider's simulator.
 * It needs `saler` and `saler-load` (in `HUB_BIN`, else in `target/debug`) and a built console.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test as base, expect, type Page } from '@playwright/test'

const root = resolve(import.meta.dirname, '../../..')
const bin = process.env.HUB_BIN ?? join(root, 'target/debug')
const config = join(root, 'load-tests/demo.json')
/** The made-up secret of the demo's Twilio account; see load-tests/demo.json. */
const AUTH_TOKEN = 'demo0123456789abcdef0123456789ab'
const ACCOUNT = 'ACde0000000000000000000000000000de'
const NUMBER = '+14155550100'

export const PEOPLE = {
  owner: ['owner@demo.saler.test', 'demo-owner-2026'],
  manager: ['manager@demo.saler.test', 'demo-manager-2026'],
  agent: ['huda@demo.saler.test', 'demo-agent-2026'],
  analyst: ['analyst@demo.saler.test', 'demo-analyst-2026'],
} as const

function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const server = createServer()
    server.on('error', failed)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => found(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

const ended = (child: ChildProcess) =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise<void>((done) => child.once('exit', () => done()))

export class Hub {
  private hub: ChildProcess | undefined
  private simulator: ChildProcess | undefined
  private webhook: string | undefined
  private count = 0

  private constructor(
    private readonly data: string,
    private readonly port: number,
    private readonly simulatorPort: number,
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Where the provider's simulator is. */
  get provider(): string {
    return `http://127.0.0.1:${this.simulatorPort}`
  }

  private get environment(): NodeJS.ProcessEnv {
    return { ...process.env, SALER_DATA__DIR: this.data, SALER_HTTP__LISTEN: `127.0.0.1:${this.port}` }
  }

  static async start(): Promise<Hub> {
    const hub = new Hub(mkdtempSync(join(tmpdir(), 'saler-e2e-')), await freePort(), await freePort())
    const simulator = `127.0.0.1:${hub.simulatorPort}`
    const marker = join(hub.data, 'demo-workspace.json')
    const setup = ['demo-setup', '--saler', join(bin, 'saler'), '--workspace-config', config, '--simulator', simulator]
    execFileSync(join(bin, 'saler-load'), [...setup, '--origin', hub.url, '--marker', marker], { env: hub.environment })
    hub.simulator = spawn(join(bin, 'saler-load'), ['simulate', '--prompt', '--listen', simulator], { stdio: 'ignore' })
    await hub.serve()
    return hub
  }

  /** Runs the hub; resolves when it takes requests. */
  async serve(): Promise<void> {
    this.hub = spawn(join(bin, 'saler'), ['serve'], { env: this.environment, stdio: 'ignore' })
    const ready = () =>
      fetch(`${this.url}/readyz`).then(
        (answer) => answer.ok,
        () => false,
      )
    await expect.poll(ready, { timeout: 60_000 }).toBe(true)
  }

  /** Ends the hub at once, as a crash does. */
  async kill(): Promise<void> {
    const child = this.hub
    child?.kill('SIGKILL')
    if (child) await ended(child)
  }

  async stop(): Promise<void> {
    this.simulator?.kill()
    await this.kill()
    rmSync(this.data, { recursive: true, force: true })
  }

  async token(person: keyof typeof PEOPLE): Promise<string> {
    const [email, password] = PEOPLE[person]
    const answer = await fetch(`${this.url}/api/v1/auth/sign-in`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ email, password }),
    })
    return ((await answer.json()) as { access_token: string }).access_token
  }

  async api(person: keyof typeof PEOPLE, method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${await this.token(person)}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  }

  private async webhookUrl(): Promise<string> {
    if (!this.webhook) {
      const answer = await this.api('owner', 'GET', '/channels')
      const { items } = (await answer.json()) as { items: { medium: string; webhook_url?: string }[] }
      this.webhook = items.find((one) => one.medium === 'sms')?.webhook_url
    }
    if (!this.webhook) throw new Error('the demo has no SMS channel')
    return this.webhook
  }

  /** A text message of somebody, as Twilio posts it, signed. */
  async receive(from: string, text: string): Promise<void> {
    const url = await this.webhookUrl()
    this.count += 1
    const fields: Record<string, string> = {
      AccountSid: ACCOUNT,
      Body: text,
      From: from,
      MessageSid: `SM${String(this.count).padStart(32, '0')}`,
      NumMedia: '0',
      To: NUMBER,
    }
    const signed = Object.keys(fields)
      .sort()
      .reduce((sum, name) => sum + name + fields[name], url)
    const answer = await fetch(`${this.url}${new URL(url).pathname}`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded',
        'X-Twilio-Signature': createHmac('sha1', AUTH_TOKEN).update(signed).digest('base64'),
      },
      body: new URLSearchParams(fields),
    })
    expect(answer.status).toBe(200)
  }
}

interface Look {
  language: 'ar' | 'en'
  theme: 'dark' | 'light'
}

/** Opens the console as somebody. */
export async function signIn(page: Page, hub: Hub, person: keyof typeof PEOPLE, look: Look): Promise<void> {
  await page.addInitScript((wanted) => {
    localStorage.setItem('saler.language', wanted.language)
    localStorage.setItem('saler.theme', wanted.theme)
  }, look)
  await page.goto(hub.url)
  const [email, password] = PEOPLE[person]
  await page.locator('input[type=email]').fill(email)
  await page.locator('input[type=password]').fill(password)
  await page.locator('button[type=submit]').click()
  await expect(page.locator('#content')).toBeVisible()
}

/** A picture of one pixel. */
export const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

export const ENGLISH: Look = { language: 'en', theme: 'light' }

export const test = base.extend<object, { hub: Hub }>({
  hub: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of what a fixture needs
    async ({}, use) => {
      const hub = await Hub.start()
      await use(hub)
      await hub.stop()
    },
    { scope: 'worker', timeout: 180_000 },
  ],
})
export { expect } from '@playwright/test'
