/** An agent's day: a message comes in, is answered, noted, labelled, resolved; the hub dies and comes back. */

import type { Page } from '@playwright/test'
import { ENGLISH, expect, type Hub, PEOPLE, signIn, test } from '../hub'

const list = (page: Page) => page.getByTestId('conversations')
const thread = (page: Page) => page.getByRole('region', { name: 'Messages' })
const answerField = (page: Page) => page.getByRole('textbox', { name: /Write a reply/ })

async function arrives(page: Page, hub: Hub, from: string, text: string): Promise<void> {
  await hub.receive(from, text)
  await expect(list(page).getByRole('link', { name: from })).toBeVisible()
}

test('a message is answered, noted, labelled and resolved by keyboard', async ({ page, hub }) => {
  await hub.api('owner', 'PUT', '/labels/vip', { color: '#aa3377' })
  await signIn(page, hub, 'manager', ENGLISH)
  await expect(page.getByText('Live', { exact: true })).toBeVisible()
  const from = '+966500000001'
  await arrives(page, hub, from, 'Where is my order?')
  await page.keyboard.press('j')
  await expect(thread(page).getByText('Where is my order?')).toBeVisible()

  await page.keyboard.press('r')
  await answerField(page).fill('On its way!')
  await page.keyboard.press('Enter')
  await expect(thread(page).getByText('On its way!')).toHaveCount(1)
  await expect(thread(page).getByRole('img', { name: /Delivered|Read/ })).toBeVisible()
  await expect(answerField(page)).toHaveValue('')

  await page.keyboard.press('Escape')
  await page.keyboard.press('n')
  const note = page.getByRole('textbox', { name: /private note/ })
  await note.pressSequentially('Ask @Hud')
  await expect(page.getByRole('option', { name: '@Huda Salem' })).toBeVisible()
  await page.keyboard.press('Tab')
  await expect(note).toHaveValue('Ask @Huda Salem ')
  await note.pressSequentially('about it')
  await page.keyboard.press('Enter')
  await expect(thread(page).getByText('Private note')).toBeVisible()

  await page.keyboard.press('Escape')
  await page.keyboard.press('l')
  await page.getByRole('combobox', { name: 'Labels' }).fill('vip')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('option', { name: 'vip' })).toHaveAttribute('aria-checked', 'true')
  await page.keyboard.press('Escape')
  await expect(page.getByRole('complementary').getByText('vip')).toBeVisible()

  // The key of the same place on an Arabic keyboard.
  await page.evaluate(() => {
    const event = { key: 'ث', code: 'KeyE', bubbles: true, cancelable: true }
    document.body.dispatchEvent(new KeyboardEvent('keydown', event))
  })
  await expect(list(page).getByRole('link', { name: from })).toHaveCount(0)
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect(list(page).getByRole('link', { name: from })).toBeVisible()
})

test('several are changed at once, and can be changed back', async ({ page, hub }) => {
  await signIn(page, hub, 'manager', ENGLISH)
  const froms = ['+966500000011', '+966500000012', '+966500000013']
  for (const from of froms) await arrives(page, hub, from, 'Hello')
  for (const from of froms) await page.getByRole('checkbox', { name: `Select ${from}` }).check({ force: true })
  await expect(page.getByText('3 selected')).toBeVisible()
  await page.getByRole('toolbar').getByRole('button', { name: 'Resolve' }).click()
  for (const from of froms) await expect(list(page).getByRole('link', { name: from })).toHaveCount(0)
  await page.getByRole('navigation', { name: 'Status' }).getByRole('link', { name: 'Resolved' }).click()
  for (const from of froms) await expect(list(page).getByRole('link', { name: from })).toBeVisible()
})

test('how a customer sounds is seen at a glance, and what says nothing is left alone', async ({ page, hub }) => {
  await signIn(page, hub, 'manager', ENGLISH)
  const [unhappy, plain] = ['+966500000061', '+966500000062']
  await arrives(page, hub, unhappy, 'This is the worst service ever, my order is late and nobody answers!')
  await arrives(page, hub, plain, 'What time do you open?')
  const mood = { name: 'Sounds unhappy' }
  await expect(list(page).getByRole('link', { name: unhappy }).getByRole('img', mood)).toBeVisible()
  await expect(list(page).getByRole('link', { name: plain }).getByRole('img', mood)).toHaveCount(0)
  await list(page).getByRole('link', { name: unhappy }).click()
  await expect(thread(page).getByRole('img', mood)).toBeVisible()
})

test('a draft outlives the page', async ({ page, hub }) => {
  await signIn(page, hub, 'manager', ENGLISH)
  await arrives(page, hub, '+966500000021', 'Are you there?')
  await list(page).getByRole('link', { name: '+966500000021' }).click()
  await answerField(page).fill('Half an ans')
  await page.reload()
  await expect(answerField(page)).toHaveValue('Half an ans')
})

test('signing out of an open conversation leads to the sign-in page, and keeps the draft', async ({ page, hub }) => {
  await signIn(page, hub, 'manager', ENGLISH)
  await arrives(page, hub, '+966500000022', 'Still there?')
  await list(page).getByRole('link', { name: '+966500000022' }).click()
  await answerField(page).fill('One mom')
  await page.getByRole('button', { name: 'Account' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await expect(page.locator('input[type=email]')).toBeVisible()
  const [email, password] = PEOPLE.manager
  await page.locator('input[type=email]').fill(email)
  await page.locator('input[type=password]').fill(password)
  await page.locator('button[type=submit]').click()
  await list(page).getByRole('link', { name: '+966500000022' }).click()
  await expect(answerField(page)).toHaveValue('One mom')
})

test('what is sent while the hub is gone is kept and sent once', async ({ page, hub }) => {
  await signIn(page, hub, 'manager', ENGLISH)
  await arrives(page, hub, '+966500000031', 'Anybody?')
  await list(page).getByRole('link', { name: '+966500000031' }).click()
  await expect(thread(page).getByText('Anybody?')).toBeVisible()
  await hub.kill()
  await expect(page.getByText(/Offline/).first()).toBeVisible()
  await answerField(page).fill('We are here')
  await page.keyboard.press('Enter')
  await expect(thread(page).getByText('We are here')).toBeVisible()
  await expect(page.getByText(/1 message is kept/)).toBeVisible()
  await hub.serve()
  await page
    .getByRole('button', { name: 'Try now' })
    .click({ timeout: 2000 })
    .catch(() => undefined)
  await expect(page.getByText('Live', { exact: true })).toBeVisible({ timeout: 40_000 })
  await expect(thread(page).getByRole('img', { name: /Sent|Delivered|Read/ })).toBeVisible()
  await hub.receive('+966500000031', 'Thank you')
  await expect(thread(page).getByText('Thank you')).toBeVisible()
  await expect(thread(page).getByText('We are here')).toHaveCount(1)
})
