/**
 * How quick the console feels, on a hub that is pretended inside the page. Figures are printed, since they are the machine's as
 * much as the console's; what is asserted holds on a slow one as well.
 */
import { expect, type Page } from '@playwright/test'
import { test } from '../hub'
import { pretend, type Size } from '../pretend'

const FIRST = '00000000-0000-7000-9000-000000000000'

async function open(page: Page, url: string, size: Size, path = `/inbox/${FIRST}?view=all`): Promise<void> {
  await page.addInitScript(pretend, size)
  await page.goto(url + path)
  await expect(page.getByTestId('conversations').getByRole('link').first()).toBeVisible()
}

const percentile = (all: number[], share: number) => [...all].sort((a, b) => a - b)[Math.floor(all.length * share)] ?? 0
const told = (name: string, all: number[]) =>
  console.log(
    `${name}: p50 ${percentile(all, 0.5).toFixed(1)} ms, p95 ${percentile(all, 0.95).toFixed(1)} ms (${all.length})`,
  )

/** Scrolls something for a number of frames; the times between them. */
function scrolled(page: Page, selector: string, by: number, frames: number): Promise<number[]> {
  return page.evaluate(
    async ({ selector, by, frames }) => {
      const element = document.querySelector(selector)
      const times: number[] = []
      let last = performance.now()
      for (let frame = 0; frame < frames; frame += 1) {
        if (element) element.scrollTop += by
        await new Promise((next) => requestAnimationFrame(next))
        const now = performance.now()
        times.push(now - last)
        last = now
      }
      return times
    },
    { selector, by, frames },
  )
}

const heap = (page: Page) =>
  page.evaluate(() => {
    const { memory } = performance as unknown as { memory?: { usedJSHeapSize: number } }
    return Math.round((memory?.usedJSHeapSize ?? 0) / 1e6)
  })

test('a thread of 100,000 messages scrolls, and jumps', async ({ page, hub }) => {
  await open(page, hub.url, { conversations: 20, messages: 100_000 })
  await expect(page.getByText('#100000 ')).toBeVisible()
  told('thread, scrolling frame', await scrolled(page, 'section[aria-label=Messages]', -180, 300))
  console.log(`heap ${await heap(page)} MB`)
  const shown = await page.locator('section[aria-label=Messages] [data-index]').count()
  expect(shown).toBeGreaterThan(3)
  const jumps: number[] = []
  for (const seq of [50_000, 3, 75_000, 20_000, 99_990, 400]) {
    await page.goto(`${hub.url}/inbox/${FIRST}?view=all&at=${seq}`)
    await expect(page.getByText(`#${seq} `)).toBeInViewport()
    jumps.push(await page.evaluate(() => performance.now()))
  }
  told('load of the page at a message', jumps)
})

test('a list of 10,000 conversations scrolls', async ({ page, hub }) => {
  await open(page, hub.url, { conversations: 10_000, messages: 10 })
  told('list, scrolling frame', await scrolled(page, '[data-testid=conversations]', 900, 600))
  const rows = page.getByTestId('conversations').getByRole('listitem')
  await expect(rows.first()).toBeVisible()
  console.log(`heap ${await heap(page)} MB`)
})

test('messages are painted soon after they arrive, and keys after they are pressed', async ({ page, hub }) => {
  await open(page, hub.url, { conversations: 200, messages: 500 })
  await expect(page.getByText('#500 ')).toBeVisible()
  const arrivals = await page.evaluate(async () => {
    const painted = () =>
      new Promise<number>((done) =>
        requestAnimationFrame(() => {
          const channel = new MessageChannel()
          channel.port1.onmessage = () => done(performance.now())
          channel.port2.postMessage(0)
        }),
      )
    const times: number[] = []
    for (let sent = 0; sent < 150; sent += 1) {
      await new Promise((next) => setTimeout(next, 20))
      const start = performance.now()
      const seq = window.pretend.push(1)
      while (!document.body.textContent?.includes(`#${seq} `)) await new Promise((next) => requestAnimationFrame(next))
      times.push((await painted()) - start)
    }
    return times
  })
  told('frame of the socket to paint', arrivals)
  await page.locator('textarea').focus()
  await page.evaluate(() => {
    const times: number[] = []
    Object.assign(window, { keyTimes: times })
    document.addEventListener(
      'input',
      () => {
        const start = performance.now()
        requestAnimationFrame(() => {
          const channel = new MessageChannel()
          channel.port1.onmessage = () => times.push(performance.now() - start)
          channel.port2.postMessage(0)
        })
      },
      true,
    )
    setInterval(() => window.pretend.push(1), 20)
  })
  await page.keyboard.type('It is on its way, you will have it tomorrow in the morning. ', { delay: 40 })
  told(
    'key to paint, 50 messages a second arriving',
    await page.evaluate(() => (window as unknown as { keyTimes: number[] }).keyTimes),
  )
})

test('1,000 messages a second for five seconds lose nothing', async ({ page, hub }) => {
  await open(page, hub.url, { conversations: 200, messages: 500 })
  await expect(page.getByText('#500 ')).toBeVisible()
  const long = await page.evaluate(async () => {
    let sum = 0
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) sum += entry.duration
    }).observe({ type: 'longtask' })
    const until = performance.now() + 5000
    let sent = 0
    const start = performance.now()
    while (performance.now() < until) {
      await new Promise((next) => setTimeout(next, 10))
      const due = Math.floor(performance.now() - start) - sent
      window.pretend.push(due)
      sent += due
    }
    return { sum, sent }
  })
  console.log(`${long.sent} messages, long tasks ${long.sum.toFixed(0)} ms`)
  const newest = await page.evaluate(() => window.pretend.newest())
  await expect(page.getByText(`#${newest} `)).toBeInViewport()
  const seqs = await page
    .locator('section[aria-label=Messages] [data-index] p')
    .evaluateAll((all) => all.flatMap((one) => /^#(\d+) /.exec(one.textContent ?? '')?.[1] ?? []).map(Number))
  for (const [index, seq] of seqs.entries()) if (index > 0) expect(seq).toBe((seqs[index - 1] ?? 0) + 1)
})
