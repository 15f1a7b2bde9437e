/** What a team shares: canned replies, teams, notices, counts, search, saved views; each seen in the browser as it changes. */
import type { Page } from '@playwright/test'
import { ENGLISH, expect, type Hub, signIn, test } from '../hub'

const list = (page: Page) => page.getByTestId('conversations')
const views = (page: Page) => page.getByRole('navigation', { name: 'Views' })

async function arrives(page: Page, hub: Hub, from: string, text: string): Promise<void> {
  await hub.receive(from, text)
  await expect(list(page).getByRole('link', { name: from })).toBeVisible()
}

test('a canned reply that is made meanwhile is offered, filled in and sent', async ({ page, hub }) => {
  await signIn(page, hub, 'manager', ENGLISH)
  await arrives(page, hub, '+966500000051', 'Hi')
  await list(page).getByRole('link', { name: '+966500000051' }).click()
  const field = page.getByRole('textbox', { name: /Write a reply/ })
  await field.fill('/')
  const text = 'Hello {{contact.first_name|there}}, {{agent.first_name}} here. Your mail is {{contact.email}}.'
  expect((await hub.api('manager', 'PUT', '/canned-replies/hello', { text, title: 'Greeting' })).status).toBe(200)
  await expect(page.getByRole('option', { name: /hello/ })).toBeVisible()
  await expect(page.getByText("Not known: the contact's e-mail")).toBeVisible()
  await page.keyboard.press('Enter')
  await expect(field).toHaveValue('Hello there, Omar here. Your mail is {{contact.email}}.')
  await page.keyboard.press('Enter')
  await expect(page.getByText(/Fill in first/)).toBeVisible()
  await field.fill('Hello there, Omar here.')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('region', { name: 'Messages' }).getByText('Hello there, Omar here.')).toBeVisible()
})

test('counts follow, a team is assigned, its view holds the conversation', async ({ page, hub }) => {
  const made = await hub.api('owner', 'POST', '/teams', { name: 'Returns', members: [] })
  expect(made.status).toBe(201)
  await signIn(page, hub, 'manager', ENGLISH)
  await arrives(page, hub, '+966500000061', 'I want to return it')
  await list(page).getByRole('link', { name: '+966500000061' }).click()
  await expect(page.locator('textarea')).toBeVisible()
  await page.keyboard.press('Shift+A')
  await page.getByRole('combobox', { name: 'Who handles it' }).fill('Returns')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('complementary').getByText('Returns')).toBeVisible()
  await expect(views(page).getByRole('link', { name: 'Returns' })).toHaveText(/1$/)
  await views(page).getByRole('link', { name: 'Returns' }).click()
  await expect(list(page).getByRole('link')).toHaveCount(1)
  await hub.receive('+966500000062', 'Another one')
  const all = views(page).getByRole('link', { name: /^All/ })
  const before = Number(/\d+/.exec((await all.textContent()) ?? '')?.[0])
  await hub.receive('+966500000063', 'And another one')
  await expect(all).toHaveText(new RegExp(`(${before + 1}|${before + 2})$`))
})

test('a mention reaches the colleague who was mentioned', async ({ browser, page, hub }) => {
  await signIn(page, hub, 'manager', ENGLISH)
  const other = await (await browser.newContext()).newPage()
  await signIn(other, hub, 'agent', ENGLISH)
  await expect(
    other.getByRole('button', { name: 'Notifications' }).or(other.getByRole('button', { name: /unread notification/ })),
  ).toBeVisible()
  await arrives(page, hub, '+966500000071', 'A hard question')
  await list(page).getByRole('link', { name: '+966500000071' }).click()
  await page.getByRole('button', { name: 'Note', exact: true }).click()
  const note = page.getByRole('textbox', { name: /private note/ })
  await note.fill('@Huda Salem can you help?')
  await page.keyboard.press('Enter')
  await other.getByRole('button', { name: /unread notification/ }).click()
  const notice = other.getByRole('button', { name: /Omar Nasser.* mentioned you about .*\+966500000071/ })
  await notice.click()
  await expect(other.getByRole('region', { name: 'Messages' }).getByText('can you help?')).toBeVisible()
  await other.context().close()
})

test('words find the message that holds them', async ({ page, hub }) => {
  await signIn(page, hub, 'manager', ENGLISH)
  await arrives(page, hub, '+966500000081', 'أين طَلَبي من الأحذية؟')
  await page.keyboard.press('/')
  await page.keyboard.type('طلبي الاحذيه')
  await expect(page).toHaveURL((url) => url.searchParams.get('q') === 'طلبي الاحذيه')
  await expect(page.getByRole('heading', { name: 'Messages' })).toBeVisible()
  await page
    .getByRole('link', { name: /\+966500000081/ })
    .last()
    .click()
  await expect(page.getByRole('region', { name: 'Messages' }).getByText('أين طَلَبي من الأحذية؟')).toBeVisible()
  await expect(page).toHaveURL(/at=1/)
})

test('a narrow view is saved under a name', async ({ page, hub }) => {
  await hub.api('owner', 'PUT', '/labels/refund', {})
  await signIn(page, hub, 'manager', ENGLISH)
  await views(page).getByRole('link', { name: 'refund' }).click()
  await page.getByRole('button', { name: 'Save this view' }).click()
  await page.getByRole('textbox', { name: 'Name' }).fill('My refunds')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await expect(views(page).getByRole('link', { name: 'My refunds' })).toBeVisible()
})

test('no script can read the refresh token, and a reload is signed in', async ({ page, hub }) => {
  await signIn(page, hub, 'manager', ENGLISH)
  expect(await page.evaluate(() => JSON.stringify({ ...localStorage }) + document.cookie)).not.toContain('rt_')
  await page.reload()
  await expect(page.locator('#content')).toBeVisible()
})
