/** The workbench: tables at the side, a query above, its result below. */
import { Link2, PanelLeft, Play, Plug, Save, Square } from 'lucide-react'
import { useCallback, useEffect, useRef, useState } from 'react'
import { type Failure, failure } from '../../api/client'
import { useCommands } from '../../app/commands'
import { live } from '../../app/live'
import { toast } from '../../app/toasts'
import { type Library, note, PINNED_MOST, pinnedIn, read, save, unsave, write } from '../../data/library'
import { packed, unpacked } from '../../data/link'
import type { Wish } from '../../data/shape'
import { runSql, SQL_MOST_BYTES, type SqlAnswer, useTables } from '../../data/sql'
import { t } from '../../i18n'
import { Button, IconButton } from '../../ui/button'
import { type Handle, SqlEditor } from '../../ui/code-editor'
import { Sheet } from '../../ui/sheet'
import { Connect } from './connect'
import { Result } from './result'
import { SaveDialog } from './save'
import { Side } from './side'

const EXAMPLE = `SELECT date_trunc('hour', minute) AS hour, sum(messages_in) AS received, sum(messages_out_human) AS answered
FROM kpi_minute
WHERE minute > now() - INTERVAL '24 hours'
GROUP BY hour
ORDER BY hour`

export type Outcome =
  | { state: 'none' }
  | { state: 'running'; since: number }
  | { state: 'failed'; failed: Failure }
  | { state: 'done'; sql: string; answer: SqlAnswer; ms: number }

/** The library of whoever is signed in, written through. */
function useLibrary(): [Library, (change: (old: Library) => Library) => void] {
  const { me } = live()
  const [all, set] = useState(() => read(me.workspace_id, me.user_id))
  const change = useCallback(
    (by: (old: Library) => Library) => {
      set((old) => {
        const next = by(old)
        write(me.workspace_id, me.user_id, next)
        return next
      })
    },
    [me],
  )
  return [all, change]
}

function useQueryRun(done: (sql: string, answer: SqlAnswer, ms: number) => void) {
  const [outcome, set] = useState<Outcome>({ state: 'none' })
  const abort = useRef<AbortController>(undefined)
  const run = async (sql: string) => {
    abort.current?.abort()
    const mine = new AbortController()
    abort.current = mine
    const since = performance.now()
    set({ state: 'running', since: Date.now() })
    try {
      const answer = await runSql(sql, mine.signal)
      if (mine.signal.aborted) return
      const ms = performance.now() - since
      set({ state: 'done', sql, answer, ms })
      done(sql, answer, ms)
    } catch (error) {
      if (mine.signal.aborted) return
      set({ state: 'failed', failed: failure(error) })
    }
  }
  const stop = () => {
    abort.current?.abort()
    set({ state: 'none' })
  }
  useEffect(() => () => abort.current?.abort(), [])
  return { outcome, run, stop }
}

export function SqlPage() {
  const [all, change] = useLibrary()
  const [sql, setSql] = useState(() => unpacked(location.hash) ?? (all.draft || EXAMPLE))
  const [side, setSide] = useState(false)
  const [saving, setSaving] = useState(false)
  const [connecting, setConnecting] = useState(false)
  const [pinning, setPinning] = useState<{ sql: string; wish: Wish | undefined }>()
  const editor = useRef<Handle>(undefined)
  const catalogue = useTables()
  const { outcome, run, stop } = useQueryRun((text, answer, ms) =>
    change((old) => note(old, { sql: text, at: Date.now(), rows: answer.rows.length, ms: Math.round(ms) })),
  )
  const running = outcome.state === 'running'
  const bytes = new TextEncoder().encode(sql).length
  const tooLong = bytes > SQL_MOST_BYTES

  // A shared query is taken once; then the address is the page's own again.
  useEffect(() => {
    if (unpacked(location.hash) !== undefined) history.replaceState(history.state, '', location.pathname)
  }, [])

  const write = (text: string) => {
    setSql(text)
    change((old) => ({ ...old, draft: text }))
  }
  const begin = () => {
    const text = editor.current?.selected().trim() || sql
    if (text.trim() && !tooLong) void run(text)
  }
  const share = async () => {
    const address = `${location.origin}/sql#${packed(sql)}`
    try {
      await navigator.clipboard.writeText(address)
      toast({ text: t('sql.shared') })
    } catch {
      toast({ text: address })
    }
  }
  const open = (text: string) => {
    write(text)
    setSide(false)
    editor.current?.focus()
  }
  useCommands([
    { id: 'sql.run', title: t('sql.run'), group: t('sql.title'), keys: 'Mod+Enter', run: begin },
    { id: 'sql.save', title: t('sql.save'), group: t('sql.title'), keys: 'Mod+KeyS', run: () => setSaving(true) },
    { id: 'sql.share', title: t('sql.share'), group: t('sql.title'), run: () => void share() },
    { id: 'sql.connect', title: t('sql.connect'), group: t('sql.title'), run: () => setConnecting(true) },
  ])
  const sideBar = (
    <Side
      catalogue={catalogue}
      library={all}
      onInsert={(text) => {
        setSide(false)
        editor.current?.insert(text)
      }}
      onOpen={open}
      onRemove={(id) => change((old) => unsave(old, id))}
    />
  )
  return (
    <div className="grid h-full grid-cols-1 lg:grid-cols-[18rem_minmax(0,1fr)]">
      <h1 className="sr-only">{t('sql.title')}</h1>
      <aside className="min-h-0 border-line bg-panel max-lg:hidden lg:border-e">{sideBar}</aside>
      <div className="grid min-h-0 min-w-0 grid-cols-1 grid-rows-[auto_minmax(9rem,2fr)_minmax(0,3fr)]">
        <div className="flex flex-wrap items-center gap-1.5 border-b border-line bg-panel px-3 py-2">
          <IconButton label={t('sql.side')} className="lg:hidden" onClick={() => setSide(true)}>
            <PanelLeft size={16} aria-hidden className="rtl:-scale-x-100" />
          </IconButton>
          {running ? (
            <Button icon={<Square size={13} aria-hidden />} onClick={stop}>
              {t('sql.stop')}
            </Button>
          ) : (
            <Button
              look="primary"
              icon={<Play size={13} aria-hidden className="rtl:-scale-x-100" />}
              disabled={!sql.trim() || tooLong}
              onClick={begin}
            >
              {t('sql.run')}
            </Button>
          )}
          <kbd className="text-xs text-soft max-sm:hidden" dir="ltr">
            {/Mac|iP/.test(navigator.platform) ? '⌘' : 'Ctrl'} Enter
          </kbd>
          {tooLong && (
            <span role="alert" className="text-xs text-danger">
              {t('sql.tooLong', { bytes, most: SQL_MOST_BYTES })}
            </span>
          )}
          <span className="ms-auto flex gap-1">
            <Button
              look="quiet"
              icon={<Save size={14} aria-hidden />}
              onClick={() => setSaving(true)}
              title={t('sql.save')}
            >
              <span className="max-sm:sr-only">{t('sql.save')}</span>
            </Button>
            <Button
              look="quiet"
              icon={<Link2 size={14} aria-hidden />}
              onClick={() => void share()}
              title={t('sql.share')}
            >
              <span className="max-sm:sr-only">{t('sql.share')}</span>
            </Button>
            <Button
              look="quiet"
              icon={<Plug size={14} aria-hidden />}
              onClick={() => setConnecting(true)}
              title={t('sql.connect')}
            >
              <span className="max-sm:sr-only">{t('sql.connect')}</span>
            </Button>
          </span>
        </div>
        <div className="min-h-0 border-b border-line">
          <SqlEditor
            value={sql}
            onChange={write}
            onRun={begin}
            tables={catalogue.tables ?? NO_TABLES}
            label={t('sql.editor')}
            hint={t('sql.hint')}
            handle={(handle) => {
              editor.current = handle
            }}
          />
        </div>
        <Result
          outcome={outcome}
          onRun={begin}
          onPin={(text, wish) => {
            if (pinnedIn(all).length < PINNED_MOST) setPinning({ sql: text, wish })
            else toast({ text: t('sql.pinnedMost', { count: PINNED_MOST }) })
          }}
        />
      </div>
      {side && (
        <Sheet open onOpenChange={setSide} title={t('sql.side')} closeLabel={t('sql.close')}>
          {sideBar}
        </Sheet>
      )}
      {saving && (
        <SaveDialog
          names={all.saved.map((one) => one.name)}
          close={() => setSaving(false)}
          onSave={(name) => {
            change((old) => save(old, { id: crypto.randomUUID(), name, sql, at: Date.now() }))
            setSaving(false)
            toast({ text: t('sql.saved', { name }) })
          }}
        />
      )}
      {pinning && (
        <SaveDialog
          title={t('sql.pin')}
          names={all.saved.map((one) => one.name)}
          close={() => setPinning(undefined)}
          onSave={(name) => {
            const { sql: text, wish } = pinning
            const one = { id: crypto.randomUUID(), name, sql: text, at: Date.now(), pinned: wish ?? (true as const) }
            change((old) => save(old, one))
            setPinning(undefined)
            toast({ text: t('sql.pinned', { name }) })
          }}
        />
      )}
      {connecting && <Connect close={() => setConnecting(false)} sql={sql} />}
    </div>
  )
}

const NO_TABLES: never[] = []
