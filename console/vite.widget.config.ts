/**
 * The web chat widget: `--mode frame` builds the page in the frame with its hashed files, `--mode script` the one script that
 * customers' pages hold, whose name never changes. They share nothing with the console but types.
 */
import { defineConfig } from 'vite'
import { compressed } from './tools/compressed.ts'

const target = ['chrome123', 'safari17.5', 'firefox121']

export default defineConfig(({ mode }) => {
  const isScript = mode === 'script'
  return {
    root: 'widget',
    base: '/widget/',
    publicDir: false,
    plugins: [compressed()],
    html: { cspNonce: '__CSP_NONCE__' },
    build: {
      outDir: '../dist/widget',
      emptyOutDir: !isScript,
      target,
      modulePreload: { polyfill: false },
      assetsInlineLimit: 0,
      reportCompressedSize: false,
      ...(isScript
        ? { lib: { entry: 'loader/main.ts', formats: ['iife'], name: 'SalerChatScript', fileName: () => 'loader.js' } }
        : { rollupOptions: { input: 'widget/frame.html' } }),
    },
  }
})
