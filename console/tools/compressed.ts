/** A part of the builds: the compressed forms of what was built. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { Plugin } from 'vite'

/** The smallest file, in bytes, that is worth compressing. */
const COMPRESS_FROM = 512

/**
 * Writes `<file>.br` and `<file>.gz` beside what compresses well, so that the hub never does. It reads what was written:
 * bundles in memory are still changed after the last plugin has seen them. `also` are files that are no part of a bundle.
 */
export function compressed(...also: string[]): Plugin {
  return {
    name: 'saler-compressed',
    apply: 'build',
    async writeBundle(options, bundle) {
      const folder = options.dir ?? 'dist'
      const names = [...Object.keys(bundle), ...also].filter((name) => /^[^.].*\.(js|css|svg)$/.test(name))
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
