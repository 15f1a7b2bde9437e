/** Files: attached by an agent, sent to the provider by a link that it can fetch, shown in the thread; refused if they are none. */
import { ENGLISH, expect, PIXEL, signIn, test } from '../hub'

test('an agent attaches files, which are sent and shown', async ({ page, hub }) => {
  const from = '+966500000071'
  await hub.receive(from, 'Can you show me?')
  await signIn(page, hub, 'manager', ENGLISH)
  await page.getByTestId('conversations').getByRole('link', { name: from }).click()
  const field = page.getByRole('textbox', { name: /Write a reply/ })
  await expect(field).toBeVisible()
  const send = page.getByRole('button', { name: 'Send', exact: true })
  const files = page.getByRole('list', { name: 'Attached files' })

  const choosing = page.waitForEvent('filechooser')
  await page.getByRole('button', { name: 'Attach files' }).click()
  await (await choosing).setFiles([
    { name: 'طلب.png', mimeType: 'image/png', buffer: PIXEL },
    { name: 'setup.exe', mimeType: 'application/octet-stream', buffer: Buffer.from('MZ\u0000\u0003') },
  ])
  await expect(files.getByText('طلب.png')).toBeVisible()
  await expect(files.getByText('This kind of file is not taken.')).toBeVisible()
  await files.getByRole('button', { name: 'Remove setup.exe' }).click()

  // Pasted, as a screenshot is.
  await field.focus()
  await page.evaluate(() => {
    const carried = new DataTransfer()
    carried.items.add(new File(['Dear customer'], 'letter.txt', { type: 'text/plain' }))
    const event = new ClipboardEvent('paste', { clipboardData: carried, bubbles: true, cancelable: true })
    document.activeElement?.dispatchEvent(event)
  })
  await expect(files.getByText('letter.txt')).toBeVisible()
  await expect(send).toBeEnabled()
  await send.click()
  await expect(files).toBeHidden()

  const thread = page.getByRole('region', { name: 'Messages' })
  const image = thread.getByRole('img', { name: 'طلب.png' })
  await expect(image).toBeVisible()
  await expect.poll(() => image.evaluate((element: HTMLImageElement) => element.naturalWidth)).toBe(1)
  const letter = thread.getByRole('link', { name: 'Attachment: letter.txt' })
  const href = (await letter.getAttribute('href')) ?? ''
  const answer = await fetch(href)
  expect(answer.headers.get('content-disposition')).toContain('attachment')
  expect(await answer.text()).toBe('Dear customer')
  await expect(thread.getByRole('img', { name: /Delivered|Read/ })).toBeVisible()

  // What the provider was given can be fetched by it.
  const provided = (await (
    await fetch(`${hub.provider}/2010-04-01/Accounts/ACde0000000000000000000000000000de/Messages.json`, {
      headers: {
        Authorization: `Basic ${Buffer.from('ACde0000000000000000000000000000de:demo0123456789abcdef0123456789ab').toString('base64')}`,
      },
    })
  ).json()) as { messages: { num_media: string }[] }
  expect(provided.messages.some((one) => one.num_media === '2')).toBe(true)
})
