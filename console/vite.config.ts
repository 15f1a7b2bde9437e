/// <reference types="vitest/config" />
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { compileMessage } from '@lingui/message-utils/compileMessage'
import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'
import { compressed } from './tools/compressed.ts'

/** Where `vite dev` finds the hub. */
const HUB = process.env.SALER_HUB ?? 'http://127.0.0.1:8080'

const VIRTUAL = 'virtual:messages/'
/** Parts of the catalogue that are loaded later, by the first word of their keys. */
const PARTS = ['board', 'sql', 'settings']

/**
 * `virtual:messages/<language>`: the catalogue of a language, its ICU texts compiled at build time, without the parts that
 * are in `virtual:messages/<language>/<part>`.
 */
function messages(): Plugin {
  return {
    name: 'saler-messages',
    resolveId: (id) => (id.startsWith(VIRTUAL) ? `\0${id}` : undefined),
    load(id) {
      if (!id.startsWith(`\0${VIRTUAL}`)) return undefined
      const [language, part] = id.slice(VIRTUAL.length + 1).split('/')
      const path = fileURLToPath(new URL(`src/i18n/${language}.icu.json`, import.meta.url))
      this.addWatchFile(path)
      const texts = Object.entries(JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>)
      const belongs = (key: string) => PARTS.find((one) => key.startsWith(`${one}.`)) === part
      const compiled = texts.filter(([key]) => belongs(key)).map(([key, text]) => [key, compileMessage(text)])
      return `export default ${JSON.stringify(Object.fromEntries(compiled))}`
    },
  }
}

export default defineConfig({
  plugins: [messages(), react(), tailwindcss(), compressed('icon.svg')],
  build: {
    manifest: true,
    target: ['chrome123', 'safari17.5', 'firefox121'],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: {
    host: '127.0.0.1',
    proxy: {
      // The hub compares the Origin of a socket with its own address.
      '/api': { target: HUB, changeOrigin: true, ws: true, headers: { origin: HUB } },
    },
  },
  test: { environment: 'happy-dom', include: ['{src,widget}/**/*.test.{ts,tsx}'] },
})
