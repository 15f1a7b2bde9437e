/** Every page for everybody: no serious fault that axe finds, in both directions, both themes, wide and narrow. */
import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { expect, signIn, test } from '../hub'

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']

async function faults(page: Page): Promise<string[]> {
  const found = await new AxeBuilder({ page }).withTags(TAGS).analyze()
  const bad = found.violations.filter((one) => one.impact === 'serious' || one.impact === 'critical')
  return bad.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 200)}`))
}

for (const language of ['en', 'ar'] as const) {
  for (const theme of ['light', 'dark'] as const) {
    for (const width of [1280, 390]) {
      test(`pages: ${language}, ${theme}, ${width}`, async ({ page, hub }) => {
        await page.setViewportSize({ width, height: 844 })
        const look = { language, theme }
        await page.addInitScript((wanted) => {
          localStorage.setItem('saler.language', wanted.language)
          localStorage.setItem('saler.theme', wanted.theme)
        }, look)
        await page.goto(hub.url)
        await expect(page.locator('input[type=email]')).toBeVisible()
        expect(await faults(page), 'sign-in').toEqual([])

        await hub.receive('+966500000041', 'السلام عليكم، وين الطلب رقم 123؟')
        await signIn(page, hub, 'manager', look)
        await expect(page.locator('html')).toHaveAttribute('dir', language === 'ar' ? 'rtl' : 'ltr')
        const rows = page.getByTestId('conversations').getByRole('link')
        await expect(rows.first()).toBeVisible()
        expect(await faults(page), 'list').toEqual([])

        await rows.first().click()
        await expect(page.locator('textarea')).toBeVisible()
        await expect(page.locator('[data-index]').first()).toBeVisible()
        expect(await faults(page), 'thread').toEqual([])
        // Nothing may be wider than the screen.
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)

        await page.keyboard.press('Control+KeyK')
        await expect(page.getByRole('combobox')).toBeVisible()
        expect(await faults(page), 'palette').toEqual([])
        await page.keyboard.press('Escape')

        for (const path of ['board', 'sql', 'settings']) {
          await page.goto(`${hub.url}/${path}`)
          await expect(page.locator('#content h1').first()).toBeVisible()
          expect(await faults(page), path).toEqual([])
        }
      })
    }
  }
}
