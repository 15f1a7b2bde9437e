/** The chat on a customer's page of another site: written, answered from the console, cut, reloaded, in both languages. */
import { AxeBuilder } from '@axe-core/playwright'
import type { FrameLocator, Locator, Page } from '@playwright/test'
import { ENGLISH, expect, type Hub, PIXEL, signIn, test } from '../hub'
import { Shop } from '../shop'

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']

/** A web chat channel for pages of a site that is made with it. */
async function site(hub: Hub, pages: Parameters<typeof Shop.open>[2], widget: object = {}): Promise<Shop> {
  const account = { provider: 'web_chat', allowed_origins: [], widget }
  const made = await hub.api('owner', 'POST', '/channels', { name: 'Shop', account })
  const { id } = (await made.json()) as { id: string }
  const shop = await Shop.open(hub.url, id, pages)
  await hub.api('owner', 'PATCH', `/channels/${id}`, { allowed_origins: [shop.url] })
  return shop
}

// Playwright looks into closed shadow trees only through the accessibility of what is there; it cannot pierce them. So the
// page's closed trees are opened for the test alone, which changes nothing of what they protect from.
async function visible(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const attach = Element.prototype.attachShadow
    Element.prototype.attachShadow = function (options) {
      return attach.call(this, { ...options, mode: 'open' })
    }
  })
}

const launcher = (page: Page): Locator => page.locator('saler-chat').getByRole('button')
const chat = (page: Page): FrameLocator => page.frameLocator('saler-chat iframe')
const field = (page: Page): Locator => chat(page).getByRole('textbox', { name: /Write a message|اكتب رسالة/ })

async function write(page: Page, text: string): Promise<void> {
  await field(page).fill(text)
  await field(page).press('Enter')
}

test('a visitor writes, an agent answers from the console, nothing is lost over a reload and a cut', async ({
  browser,
  hub,
}) => {
  const shop = await site(hub, { '/': {}, '/other': {} }, { ask: [{ field: 'name', required: true }] })
  const visitor = await (await browser.newContext()).newPage()
  await visible(visitor)
  await visitor.goto(shop.url)
  await expect(launcher(visitor)).toHaveAccessibleName('Open the chat')
  await launcher(visitor).click()
  await chat(visitor).getByRole('button', { name: 'Begin' }).click()
  await expect(chat(visitor).getByText('Write your name.')).toBeVisible()
  await chat(visitor).getByLabel('Name').fill('Amal Saleh')
  await chat(visitor).getByRole('button', { name: 'Begin' }).click()
  await expect(field(visitor)).toBeFocused()
  await write(visitor, 'Where is my parcel?')
  await expect(chat(visitor).getByText('Where is my parcel?')).toHaveCount(1)

  const agent = await (await browser.newContext()).newPage()
  await signIn(agent, hub, 'manager', ENGLISH)
  await agent.getByTestId('conversations').getByRole('link', { name: 'Amal Saleh' }).click()
  const reply = agent.getByRole('textbox', { name: /Write a reply/ })
  await reply.pressSequentially('On its way')
  await expect(chat(visitor).getByText('Somebody is writing…')).toBeVisible()
  await reply.press('Enter')
  await expect(chat(visitor).getByText('On its way')).toHaveCount(1)
  await expect(agent.getByRole('region', { name: 'Messages' }).getByRole('img', { name: 'Read' })).toBeVisible()

  // A badge, while the chat is closed.
  await field(visitor).press('Escape')
  await expect(launcher(visitor)).toBeFocused()
  await reply.fill('Anything else?')
  await reply.press('Enter')
  await expect(launcher(visitor)).toHaveAccessibleName('Open the chat, 1 new message')
  await launcher(visitor).click()
  await expect(chat(visitor).getByText('Anything else?')).toBeVisible()

  // Another page of the site, without the network: what is written is kept, and sent once.
  await visitor.goto(`${shop.url}/other`)
  await expect(chat(visitor).getByText('Anything else?')).toBeVisible()
  await visitor.context().setOffline(true)
  await expect(chat(visitor).getByText(/No connection/)).toBeVisible()
  await write(visitor, 'No, thank you')
  await expect(chat(visitor).getByText('Waiting')).toBeVisible()
  await visitor.context().setOffline(false)
  await expect(chat(visitor).getByText('Waiting')).toBeHidden()
  await visitor.reload()
  await expect(chat(visitor).getByText('No, thank you')).toHaveCount(1)
  await expect(agent.getByRole('region', { name: 'Messages' }).getByText('No, thank you')).toHaveCount(1)

  // The hub dies and comes back.
  await hub.kill()
  await expect(chat(visitor).getByText(/No connection/)).toBeVisible()
  await write(visitor, 'Goodbye')
  await hub.serve()
  await expect(chat(visitor).getByText(/No connection/)).toBeHidden({ timeout: 60_000 })
  await expect(agent.getByRole('region', { name: 'Messages' }).getByText('Goodbye')).toHaveCount(1, { timeout: 60_000 })
  await shop.close()
})

test('a visitor sends a picture, and sees the one that an agent sends', async ({ browser, hub }) => {
  const shop = await site(hub, { '/': {} })
  const visitor = await (await browser.newContext()).newPage()
  await visible(visitor)
  await visitor.goto(shop.url)
  await launcher(visitor).click()
  await expect(field(visitor)).toBeFocused()
  const choosing = visitor.waitForEvent('filechooser')
  await chat(visitor).getByRole('button', { name: 'Attach files' }).click()
  await (await choosing).setFiles({ name: 'broken.png', mimeType: 'image/png', buffer: PIXEL })
  const own = chat(visitor).getByRole('img', { name: 'broken.png' })
  await expect.poll(() => own.evaluate((element: HTMLImageElement) => element.naturalWidth)).toBe(1)

  const agent = await (await browser.newContext()).newPage()
  await signIn(agent, hub, 'manager', ENGLISH)
  await agent.getByTestId('conversations').getByRole('link').first().click()
  const thread = agent.getByRole('region', { name: 'Messages' })
  await expect(thread.getByRole('img', { name: 'broken.png' })).toBeVisible()
  const answering = agent.waitForEvent('filechooser')
  await agent.getByRole('button', { name: 'Attach files' }).click()
  await (await answering).setFiles({ name: 'new.png', mimeType: 'image/png', buffer: PIXEL })
  await agent.getByRole('button', { name: 'Send', exact: true }).click()
  const theirs = chat(visitor).getByRole('img', { name: 'new.png' })
  await expect.poll(() => theirs.evaluate((element: HTMLImageElement) => element.naturalWidth)).toBe(1)
  await shop.close()
})

test('hostile styles reach nothing of it, and it reaches nothing of the page', async ({ page, hub }) => {
  const shop = await site(hub, { '/': { hostile: true, attributes: 'data-color="#7a1fa2"' } })
  await visible(page)
  await page.goto(shop.url)
  await expect(launcher(page)).toBeVisible()
  const box = await launcher(page).boundingBox()
  expect([box?.width, box?.height, (box?.x ?? 0) + 76, (box?.y ?? 0) + 76]).toEqual([56, 56, 1280, 800])
  await expect(launcher(page)).toHaveCSS('background-color', 'rgb(122, 31, 162)')
  await launcher(page).click()
  await write(page, 'Still here')
  await expect(chat(page).getByText('Still here')).toBeVisible()
  const panel = await page.locator('saler-chat iframe').boundingBox()
  expect([panel?.width, panel?.height]).toEqual([380, 640])

  const frame = page.frames().find((one) => one.url().includes('/widget/frame'))
  const reach = await frame?.evaluate(async () => {
    const tried = (what: () => unknown) => {
      try {
        what()
        return 'reached'
      } catch (error) {
        return (error as Error).name
      }
    }
    return {
      origin: self.origin,
      cookies: tried(() => document.cookie),
      storage: tried(() => localStorage.length),
      page: tried(() => parent.document.title),
      network: await fetch('/api/v1/openapi.json').then(
        () => 'reached',
        (error: Error) => error.name,
      ),
    }
  })
  const closed = 'SecurityError'
  expect(reach).toEqual({ origin: 'null', cookies: closed, storage: closed, page: closed, network: 'TypeError' })
  expect(await page.evaluate('window.cookieReads')).toBe(0)
  await shop.close()
})

test('pages of other sites may neither ask for its settings nor hold its frame', async ({ page, hub }) => {
  const shop = await site(hub, { '/': {} })
  const stranger = await Shop.open(hub.url, 'no-channel', { '/': {} })
  await visible(page)
  const warned = page.waitForEvent('console', (message) => message.text().includes('there is no chat here'))
  await page.goto(stranger.url)
  await warned
  await expect(page.locator('saler-chat')).toHaveCount(0)
  await shop.close()
  await stranger.close()
})

for (const [language, theme] of [
  ['en', 'light'],
  ['ar', 'dark'],
] as const) {
  for (const width of [1280, 390]) {
    test(`it is accessible: ${language}, ${theme}, ${width}`, async ({ page, hub }) => {
      const attributes = `data-theme="${theme}"`
      const ask = [
        { field: 'name', required: true },
        { field: 'email', required: false },
      ]
      const shop = await site(hub, { '/': { language, attributes } }, { ask })
      await page.setViewportSize({ width, height: 844 })
      await visible(page)
      await page.goto(shop.url)
      const faults = async () => {
        const found = await new AxeBuilder({ page }).withTags(TAGS).include('saler-chat').analyze()
        return found.violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 200)}`))
      }
      await expect(launcher(page)).toBeVisible()
      expect(await faults(), 'closed').toEqual([])
      await page.keyboard.press('Tab')
      await expect(launcher(page)).toBeFocused()
      await page.keyboard.press('Enter')
      const name = chat(page).getByLabel(language === 'ar' ? 'الاسم' : 'Name')
      await expect(name).toBeFocused()
      expect(await faults(), 'form').toEqual([])
      await name.fill('أمل')
      await name.press('Enter')
      await write(page, 'وين الطلب رقم 123؟')
      await expect(chat(page).getByText('وين الطلب رقم 123؟')).toBeVisible()
      expect(await faults(), 'talk').toEqual([])
      const root = chat(page).locator('html')
      await expect(root).toHaveAttribute('dir', language === 'ar' ? 'rtl' : 'ltr')
      expect(await root.evaluate((element) => element.scrollWidth <= element.clientWidth)).toBe(true)
      const panel = await page.locator('saler-chat iframe').boundingBox()
      if (width === 390) expect(panel).toEqual({ x: 0, y: 0, width: 390, height: 844 })
      else expect(panel?.x).toBe(language === 'ar' ? 20 : 880)
      if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/widget-${language}-${width}.png` })
      await page.keyboard.press('Escape')
      await expect(launcher(page)).toBeFocused()
      await shop.close()
    })
  }
}

test('whoever the site knows has their conversation on every device', async ({ browser, hub }) => {
  const account = {
    provider: 'web_chat',
    allowed_origins: [],
    identity_secret: 'a secret of the shop, long enough'.replace(/[ ,]/g, '-'),
  }
  const made = await hub.api('owner', 'POST', '/channels', { name: 'Known', account })
  const { id } = (await made.json()) as { id: string }
  const statement = await signed(account.identity_secret, { sub: 'customer-7', name: 'Basma' })
  const shop = await Shop.open(hub.url, id, { '/': { attributes: `data-identity="${statement}"` } })
  await hub.api('owner', 'PATCH', `/channels/${id}`, { allowed_origins: [shop.url] })
  for (const device of [1, 2]) {
    const page = await (await browser.newContext()).newPage()
    await visible(page)
    await page.goto(shop.url)
    await launcher(page).click()
    if (device === 1) await write(page, 'From my phone')
    await expect(chat(page).getByText('From my phone')).toHaveCount(1)
    await page.context().close()
  }
  await shop.close()
})

/** A statement of the shop's server on who the visitor is. */
async function signed(secret: string, claims: object): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ ...claims, iat: now, exp: now + 300 })}`
  const hash = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', new TextEncoder().encode(secret), hash, false, ['sign'])
  const signature = await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(text))
  return `${text}.${Buffer.from(signature).toString('base64url')}`
}
