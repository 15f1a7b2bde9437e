// Fails when the inbox would load more JavaScript or CSS than its budget (the entry, what it imports, and the routes' chunks),
// or a customer's page more for the chat: everything that the widget ever loads counts.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

/** Budgets in bytes, gzipped. */
const SCRIPTS = 180 * 1024
const STYLES = 15 * 1024
const WIDGET = 30 * 1024
/** What the inbox loads besides the entry: its own chunk and one catalogue. */
const ALSO = [/features\/inbox\/route/, /virtual:messages\/ar$/]

const dist = new URL('../dist/', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist), 'utf8'))
const files = new Set()
const styles = new Set()
const seen = new Set()

function visit(key) {
  const chunk = manifest[key]
  if (!chunk || seen.has(key)) return
  seen.add(key)
  files.add(chunk.file)
  for (const style of chunk.css ?? []) styles.add(style)
  for (const next of chunk.imports ?? []) visit(next)
}

for (const [key, chunk] of Object.entries(manifest)) {
  if (chunk.isEntry || ALSO.some((pattern) => pattern.test(key))) visit(key)
}

function weigh(names) {
  let sum = 0
  for (const name of names) {
    const path = new URL(name, dist)
    let size
    try {
      size = statSync(new URL(`${name}.gz`, dist)).size
    } catch {
      size = gzipSync(readFileSync(path)).length
    }
    console.log(`${(size / 1024).toFixed(1).padStart(8)} KiB  ${name}`)
    sum += size
  }
  return sum
}

const scripts = weigh(files)
const sheets = weigh(styles)
console.log(
  `JavaScript ${(scripts / 1024).toFixed(1)} of ${SCRIPTS / 1024} KiB, CSS ${(sheets / 1024).toFixed(1)} of ${STYLES / 1024} KiB`,
)
const parts = ['widget/loader.js', 'widget/frame.html']
for (const name of readdirSync(new URL('widget/assets/', dist))) {
  if (/\.(js|css)$/.test(name)) parts.push(`widget/assets/${name}`)
}
const widget = weigh(parts)
console.log(`the chat widget ${(widget / 1024).toFixed(1)} of ${WIDGET / 1024} KiB`)
if (parts.length < 4 || widget > WIDGET) {
  console.error('the widget is over its budget, or was not found in the build')
  process.exit(1)
}
if (scripts === 0 || scripts > SCRIPTS || sheets > STYLES) {
  console.error('the inbox is over its budget, or was not found in the build')
  process.exit(1)
}
