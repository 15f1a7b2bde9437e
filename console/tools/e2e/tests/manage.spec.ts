/** What managers and data teams do: connect a number, ask in SQL, look behind a number of the board. */
import { ENGLISH, expect, signIn, test } from '../hub'

/** The demo's account, which the simulator knows; see load-tests/demo.json. */
const ACCOUNT = 'ACde0000000000000000000000000000de'
const TOKEN = 'demo0123456789abcdef0123456789ab'

test('a number is connected and tried', async ({ page, hub }) => {
  const answer = await hub.api('owner', 'GET', '/channels')
  const { items } = (await answer.json()) as { items: { id: string }[] }
  await signIn(page, hub, 'owner', ENGLISH)
  await page.goto(`${hub.url}/settings/channels/new`)
  await page.getByLabel('Your number').fill('+1 (415) 555-0177')
  await page.getByLabel('Name').fill('Second number')
  await page.getByLabel('Account SID').fill('SK123')
  await expect(page.getByText('It begins with AC')).toBeVisible()
  await page.getByLabel('Account SID').fill(ACCOUNT)
  await page.getByLabel('Auth token').fill(TOKEN)
  await page.getByText('More settings').click()
  await page.getByLabel('Address of the API').fill(hub.provider)
  await page.getByRole('button', { name: 'Make the channel' }).click()
  await expect(page.getByText('The channel is made.')).toBeVisible()
  await expect(page.getByLabel('Webhook address')).toHaveValue(/\/webhooks\/twilio\//)
  await expect(page.getByText('Nobody outside can reach this address')).toBeVisible()

  await page.getByLabel('To your own phone').fill('+962790000001')
  await page.getByRole('button', { name: 'Send', exact: true }).click()
  await expect(page.getByRole('status').getByText(/^(Delivered|Read)$/)).toBeVisible()

  await page.getByRole('link', { name: 'To the channel' }).click()
  await expect(page.getByRole('heading', { name: 'Second number' })).toBeVisible()
  await page.goto(`${hub.url}/settings/channels`)
  await expect(page.locator('a[href^="/settings/channels/"]:not([href$="/new"])')).toHaveCount(items.length + 1)
})

test('a member is added and a label made', async ({ page, hub }) => {
  await signIn(page, hub, 'owner', ENGLISH)
  await page.goto(`${hub.url}/settings/members`)
  await page.getByRole('button', { name: 'Add a member' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill('Nour Awad')
  await dialog.getByLabel('E-mail').fill('nour@demo.saler.test')
  await dialog.getByLabel('First password').fill('three warm loaves')
  await dialog.getByRole('button', { name: 'Add a member' }).click()
  await expect(dialog).toBeHidden()
  await expect(page.getByText('nour@demo.saler.test')).toBeVisible()

  await page.goto(`${hub.url}/settings/labels`)
  await page.getByLabel('Name').fill('refund')
  await page.getByRole('button', { name: 'Add a label' }).click()
  await expect(page.getByRole('button', { name: 'Remove refund' })).toBeVisible()
})

test('a query is completed, run, drawn and kept', async ({ page, hub }) => {
  await hub.receive('+966500000051', 'Where is my order?')
  await signIn(page, hub, 'analyst', ENGLISH)
  await page.goto(`${hub.url}/sql`)
  const editor = page.getByRole('textbox', { name: 'Query' })
  await expect(page.getByText('conversation_facts')).toBeVisible()
  await editor.click()
  await page.keyboard.press('Control+A')
  await page.keyboard.insertText('SELECT contact_address, messages_in FROM conversations WHERE contact_addr')
  await page.keyboard.press('Control+Space')
  await page.getByRole('option', { name: /contact_address/ }).click()
  await page.keyboard.insertText(" = '+966500000051'")
  // The tables of SQL follow the events.
  await expect(async () => {
    await page.keyboard.press('Control+Enter')
    await expect(page.getByRole('gridcell', { name: '+966500000051' })).toBeVisible({ timeout: 3000 })
  }).toPass({ timeout: 60_000 })
  await page.getByRole('button', { name: 'Chart' }).click()
  await expect(page.locator('#content canvas')).toBeVisible()

  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await page.getByRole('dialog').getByLabel('Name').fill('One customer')
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await page.reload()
  await page.getByRole('button', { name: 'Saved', exact: true }).click()
  await expect(page.getByRole('button', { name: /One customer/ }).first()).toBeVisible()
})

test('the board moves, and a number opens its conversations', async ({ page, hub }) => {
  await signIn(page, hub, 'manager', ENGLISH)
  await page.goto(`${hub.url}/board`)
  const received = page.locator('dl > div').filter({ hasText: 'Received' })
  await expect(received).toBeVisible()
  const before = Number(await received.locator('dd').first().innerText())
  await hub.receive('+966500000061', 'Hello?')
  await expect(received.locator('dd').first()).toHaveText(String(before + 1))
  await received.locator('dd button').click()
  const dialog = page.getByRole('dialog', { name: 'Received' })
  await dialog.getByRole('link', { name: /\+966500000061/ }).click()
  await expect(page).toHaveURL(/\/inbox\//)
  await expect(page.getByText('Hello?').first()).toBeVisible()
})

test('pages that a role may not open say so', async ({ page, hub }) => {
  await signIn(page, hub, 'agent', ENGLISH)
  for (const path of ['board', 'sql', 'settings/tokens', 'settings/dead-letters']) {
    await page.goto(`${hub.url}/${path}`)
    await expect(page.getByText('Your role does not allow this.'), path).toBeVisible()
  }
})

test('a query is pinned to the board, is asked again by itself, and is taken away', async ({ page, hub }) => {
  await hub.receive('+966500000052', 'First')
  await signIn(page, hub, 'manager', ENGLISH)
  const query = "SELECT count(*) AS n FROM messages WHERE direction = 'inbound'"
  await page.goto(`${hub.url}/sql`)
  const editor = page.getByRole('textbox', { name: 'Query' })
  await editor.click()
  await page.keyboard.press('Control+A')
  await page.keyboard.insertText(query)
  await page.keyboard.press('Control+Enter')
  await page.getByRole('button', { name: 'Pin to the board' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill('All inbound')
  await dialog.getByRole('button', { name: 'Pin to the board' }).click()
  await expect(dialog).toBeHidden()

  await page.goto(`${hub.url}/board`)
  const tile = page.getByRole('region', { name: 'All inbound' })
  const shown = async () => Number((await tile.locator('p').innerText()).replace(/\D/g, ''))
  await expect.poll(shown).toBeGreaterThan(0)
  const before = await shown()
  // What comes in is pushed to the board, which asks again.
  let more = 0
  await expect
    .poll(
      async () => {
        more += 1
        await hub.receive('+966500000052', `More ${more}`)
        return shown()
      },
      { timeout: 90_000, intervals: [3000] },
    )
    .toBeGreaterThan(before)
  await tile.hover()
  await page.getByRole('button', { name: 'Take “All inbound” from the board' }).click()
  await expect(tile).toHaveCount(0)
})
