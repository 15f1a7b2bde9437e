import { Check, Search } from 'lucide-react'
import { Fragment, type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from 'react'
import { shown } from '../app/commands'
import { endPick, type Pick, type PickItem } from '../app/pick'
import { t } from '../i18n'
import { match } from '../i18n/fold'

/** The most that are shown; more words find the rest. */
const MOST = 60
/** How long after the last letter it is searched elsewhere. */
const SEARCH_AFTER_MS = 200
/** A search needs so many letters. */
const SEARCH_FROM = 2

function sorted(items: readonly PickItem[], words: string): PickItem[] {
  if (words.trim() === '') return items.slice(0, MOST)
  return items
    .map((item) => ({ item, fit: match(`${item.title} ${item.words ?? ''}`, words) }))
    .filter((one) => one.fit > 0)
    .sort((a, b) => b.fit - a.fit)
    .slice(0, MOST)
    .map((one) => one.item)
}

/** Items under their headings, in the order in which the headings first come. */
function grouped(items: readonly PickItem[]): PickItem[] {
  const groups = [...new Set(items.map((item) => item.group))]
  return groups.flatMap((group) => items.filter((item) => item.group === group))
}

export default function Picker({ title, placeholder, useItems, search, many = false }: Pick) {
  const own = useItems()
  const [words, setWords] = useState('')
  const [found, setFound] = useState<PickItem[]>([])
  const [at, setAt] = useState(0)
  const dialog = useRef<HTMLDialogElement>(null)
  const list = useRef<HTMLDivElement>(null)
  const id = useId()
  useEffect(() => {
    const element = dialog.current
    element?.showModal()
    return () => element?.close()
  }, [])
  useEffect(() => {
    setFound([])
    if (!search || words.trim().length < SEARCH_FROM) return
    let over = false
    const timer = setTimeout(() => {
      search(words.trim())
        .then((items) => !over && setFound(items))
        .catch(() => undefined)
    }, SEARCH_AFTER_MS)
    return () => {
      over = true
      clearTimeout(timer)
    }
  }, [words, search])
  const items = useMemo(() => grouped([...sorted(own, words), ...found]), [own, words, found])
  const chosen = Math.min(at, items.length - 1)
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' })
  })
  const run = (item: PickItem | undefined) => {
    if (!item) return
    if (!many) endPick()
    item.run()
  }
  const pressed = (event: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (by) setAt((chosen + by + items.length) % Math.max(1, items.length))
    else if (event.key === 'Enter' && !event.nativeEvent.isComposing) run(items[chosen])
    else return
    event.preventDefault()
  }
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes a dialog by itself
    <dialog
      ref={dialog}
      aria-label={title}
      data-own-keys=""
      onClose={endPick}
      onClick={(event) => {
        if (event.target === dialog.current) endPick()
      }}
      className="mx-auto mt-[12vh] max-h-[70vh] w-[min(36rem,calc(100vw-2rem))] overflow-hidden rounded-xl border border-line bg-raised p-0 text-ink shadow-2xl outline-none backdrop:bg-black/40"
    >
      <div className="flex max-h-[70vh] flex-col">
        <div className="flex items-center gap-2.5 border-b border-line px-4">
          <Search size={16} aria-hidden className="shrink-0 text-soft" />
          <input
            autoFocus
            role="combobox"
            aria-expanded="true"
            aria-controls={id}
            aria-activedescendant={items[chosen] ? `${id}-${chosen}` : undefined}
            aria-label={title}
            placeholder={placeholder}
            dir={words ? 'auto' : undefined}
            value={words}
            onChange={(event) => {
              setWords(event.target.value)
              setAt(0)
            }}
            onKeyDown={pressed}
            className="h-12 min-w-0 flex-1 bg-transparent text-[15px] outline-none"
          />
        </div>
        <div
          ref={list}
          id={id}
          role="listbox"
          aria-label={title}
          aria-multiselectable={many}
          tabIndex={-1}
          className="min-h-0 flex-1 overflow-y-auto p-1.5"
        >
          {items.map((item, index) => (
            <Fragment key={item.id}>
              {item.group && item.group !== items[index - 1]?.group && (
                <div role="presentation" className="px-2.5 pb-1 pt-2 text-[11px] font-semibold text-soft">
                  {item.group}
                </div>
              )}
              <Option
                id={`${id}-${index}`}
                item={item}
                active={index === chosen}
                onPoint={() => setAt(index)}
                onRun={() => run(item)}
              />
            </Fragment>
          ))}
        </div>
        {items.length === 0 && <p className="px-4 pb-4 text-center text-soft">{t('palette.nothing')}</p>}
        <p role="status" className="sr-only">
          {t('palette.found', { count: items.length })}
        </p>
      </div>
    </dialog>
  )
}

interface OptionProps {
  id: string
  item: PickItem
  active: boolean
  onPoint: () => void
  onRun: () => void
}

function Option({ id, item, active, onPoint, onRun }: OptionProps) {
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the field above takes the keys
    // biome-ignore lint/a11y/useFocusableInteractive: the field above has the focus
    <div
      id={id}
      role="option"
      aria-selected={active}
      aria-checked={item.checked}
      onPointerMove={onPoint}
      onClick={onRun}
      className={`flex min-h-9 cursor-pointer items-center gap-2.5 rounded-md px-2.5 py-1.5 ${active ? 'bg-hover' : ''}`}
    >
      {item.icon && <span className="grid w-5 shrink-0 place-items-center text-soft">{item.icon}</span>}
      <span className="min-w-0 flex-1">
        <span dir="auto" className="aligned block truncate">
          {item.title}
        </span>
        {item.hint && (
          <span dir="auto" className="aligned block truncate text-xs text-soft">
            {item.hint}
          </span>
        )}
      </span>
      {item.checked && <Check size={15} aria-hidden className="shrink-0 text-brand" />}
      {item.keys && (
        <kbd dir="ltr" className="shrink-0 rounded border border-line px-1.5 font-sans text-[11px] text-soft">
          {shown(item.keys)}
        </kbd>
      )}
    </div>
  )
}
