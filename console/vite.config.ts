/// <reference types="vitest/config" />
import { readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { compileMessage } from '@lingui/message-utils/compileMessage'
import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

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

/** The smallest file, in bytes, that is worth compressing. */
const COMPRESS_FROM = 512

/**
 * Writes `<file>.br` and `<file>.gz` beside what compresses well, so that the hub never does. It reads what was written:
 * bundles in memory are still changed after the last plugin has seen them.
 */
function compressed(): Plugin {
  return {
    name: 'saler-compressed',
    apply: 'build',
    async writeBundle(options, bundle) {
      const folder = options.dir ?? 'dist'
      const names = [...Object.keys(bundle), 'icon.svg'].filter((name) => /^[^.].*\.(js|css|svg)$/.test(name))
      for (const name of names) {
        const bytes = await readFile(join(folder, name))
        if (bytes.length < COMPRESS_FROM) continue
        const br = {
          params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
        }
        await writeFile(join(folder, `${name}.br`), await promisify(brotliCompress)(bytes, br))
        await writeFile(join(folder, `${name}.gz`), await promisify(gzip)(bytes, { level: 9 }))
      }
    },
  }
}

export default defineConfig({
  plugins: [messages(), react(), tailwindcss(), compressed()],
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
  test: { environment: 'happy-dom', include: ['src/**/*.test.{ts,tsx}'] },
})
