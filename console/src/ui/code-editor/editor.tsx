/** An editor for SQL, with completion of the tables and columns that there are. Loaded when it is opened. */
import {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
} from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands'
import { type SQLNamespace, sql } from '@codemirror/lang-sql'
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from '@codemirror/language'
import { Compartment, EditorState, Prec } from '@codemirror/state'
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, placeholder } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { useEffect, useRef } from 'react'
import { columnsOf, dialect } from './dialect'
import type { EditorProps } from './index'

/** The colours of the page: they follow its theme by themselves, and are readable in both. */
const theme = EditorView.theme({
  '&': { height: '100%', fontSize: '13px', backgroundColor: 'var(--color-panel)', color: 'var(--color-ink)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': {
    fontFamily: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Noto Sans Mono", monospace',
    lineHeight: '1.6',
  },
  '.cm-content': { caretColor: 'var(--color-ink)', padding: '10px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--color-ink)' },
  '.cm-gutters': { backgroundColor: 'var(--color-panel)', color: 'var(--color-soft)', border: 'none' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--color-hover)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'color-mix(in srgb, var(--color-brand) 28%, transparent)',
  },
  '.cm-matchingBracket': { backgroundColor: 'var(--color-tint)', outline: '1px solid var(--color-brand)' },
  '.cm-placeholder': { color: 'var(--color-soft)' },
  '.cm-tooltip': {
    backgroundColor: 'var(--color-raised)',
    border: '1px solid var(--color-line)',
    borderRadius: '8px',
    overflow: 'hidden',
  },
  '.cm-tooltip-autocomplete > ul > li': { padding: '3px 8px' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': {
    backgroundColor: 'var(--color-tint)',
    color: 'var(--color-ink)',
  },
  '.cm-completionDetail': { color: 'var(--color-soft)', fontStyle: 'normal', marginLeft: '1em' },
  '.cm-completionInfo': { maxWidth: '20rem', padding: '6px 10px', fontFamily: 'var(--font-sans)' },
})

const colors = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword], color: 'light-dark(#8a2ba8, #d59be8)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'light-dark(#1d6b38, #8fd3a0)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'light-dark(#a3470d, #eab077)' },
  { tag: [tags.typeName, tags.standard(tags.name)], color: 'light-dark(#2459a8, #8fb8f0)' },
  { tag: [tags.comment, tags.lineComment, tags.blockComment], color: 'var(--color-soft)', fontStyle: 'italic' },
])

function namespace(tables: EditorProps['tables']): SQLNamespace {
  const all: Record<string, SQLNamespace> = {}
  for (const table of tables) {
    all[table.name] = {
      self: { label: table.name, type: 'type', ...(table.about ? { info: table.about } : {}) },
      children: table.columns.map((one) => ({
        label: one.name,
        type: 'property',
        detail: one.type,
        ...(one.meaning ? { info: one.meaning } : {}),
      })),
    }
  }
  return all
}

const language = (tables: EditorProps['tables']) => [
  sql({ dialect, schema: namespace(tables), upperCaseKeywords: true }),
  dialect.language.data.of({ autocomplete: columnsOf(() => tables) }),
]

export default function Editor({ value, onChange, onRun, tables, label, hint, handle }: EditorProps) {
  const element = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(undefined)
  const latest = useRef({ onChange, onRun })
  latest.current = { onChange, onRun }
  const schema = useRef(new Compartment())
  const first = useRef({ value, tables, label, hint, handle })

  useEffect(() => {
    const parent = element.current
    if (!parent) return
    const begin = first.current
    const runs = () => {
      latest.current.onRun()
      return true
    }
    const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce
    const one = new EditorView({
      parent,
      state: EditorState.create({
        doc: begin.value,
        extensions: [
          ...(nonce ? [EditorView.cspNonce.of(nonce)] : []),
          Prec.highest(keymap.of([{ key: 'Mod-Enter', run: runs }])),
          lineNumbers(),
          history(),
          drawSelection(),
          indentOnInput(),
          bracketMatching(),
          closeBrackets(),
          highlightActiveLine(),
          autocompletion({ icons: false }),
          syntaxHighlighting(colors),
          theme,
          schema.current.of(language(begin.tables)),
          placeholder(begin.hint),
          EditorState.tabSize.of(2),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': begin.label, spellcheck: 'false' }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) latest.current.onChange(update.state.doc.toString())
          }),
          keymap.of([
            // Tab takes the completion; Escape and then Tab leaves the editor, as its own documentation has it.
            { key: 'Tab', run: acceptCompletion },
            ...closeBracketsKeymap,
            ...defaultKeymap,
            ...historyKeymap,
            ...completionKeymap,
            indentWithTab,
          ]),
        ],
      }),
    })
    view.current = one
    begin.handle?.({
      insert: (text) => {
        one.dispatch(one.state.replaceSelection(text))
        one.focus()
      },
      focus: () => one.focus(),
      selected: () => {
        const { from, to } = one.state.selection.main
        return one.state.sliceDoc(from, to)
      },
    })
    return () => one.destroy()
  }, [])

  useEffect(() => {
    const one = view.current
    if (one && one.state.doc.toString() !== value) {
      one.dispatch({ changes: { from: 0, to: one.state.doc.length, insert: value } })
    }
  }, [value])

  useEffect(() => {
    view.current?.dispatch({ effects: schema.current.reconfigure(language(tables)) })
  }, [tables])

  return <div ref={element} dir="ltr" data-own-keys className="size-full overflow-hidden text-start" />
}
