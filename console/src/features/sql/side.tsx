/** What can be asked for: tables with their columns and what these mean; queries that were kept; queries that ran. */
import { ChevronRight, Table2, Trash2 } from 'lucide-react'
import { useMemo, useState } from 'react'
import type { Library } from '../../data/library'
import type { useTables } from '../../data/sql'
import { t } from '../../i18n'
import { moment, number } from '../../i18n/format'
import { Button, IconButton } from '../../ui/button'
import type { Table } from '../../ui/code-editor'
import { Segments, TextField } from '../../ui/form'
import { Blank, Skeleton } from '../../ui/state'

interface Props {
  catalogue: ReturnType<typeof useTables>
  library: Library
  onInsert: (text: string) => void
  onOpen: (sql: string) => void
  onRemove: (id: string) => void
}

type Tab = 'tables' | 'saved' | 'ran'

export function Side({ catalogue, library, onInsert, onOpen, onRemove }: Props) {
  const [tab, setTab] = useState<Tab>('tables')
  return (
    <div className="flex h-full flex-col">
      <div className="border-b border-line p-2">
        <Segments
          label={t('sql.side')}
          value={tab}
          onChange={setTab}
          choices={[
            { value: 'tables', label: t('sql.tables') },
            { value: 'saved', label: t('sql.savedOnes') },
            { value: 'ran', label: t('sql.ran') },
          ]}
        />
      </div>
      <div className="min-h-0 flex-1 overflow-y-auto">
        {tab === 'tables' && <Tables catalogue={catalogue} onInsert={onInsert} onOpen={onOpen} />}
        {tab === 'saved' && <Kept library={library} onOpen={onOpen} onRemove={onRemove} />}
        {tab === 'ran' && <Ran library={library} onOpen={onOpen} />}
      </div>
    </div>
  )
}

function Tables({ catalogue, onInsert, onOpen }: Pick<Props, 'catalogue' | 'onInsert' | 'onOpen'>) {
  const [sought, seek] = useState('')
  const { tables, failed, again } = catalogue
  const found = useMemo(() => {
    const words = sought.trim().toLowerCase()
    if (!words) return tables ?? []
    const fits = (one: { name: string; meaning?: string }) =>
      one.name.includes(words) || (one.meaning ?? '').toLowerCase().includes(words)
    return (tables ?? [])
      .map((table) => (table.name.includes(words) ? table : { ...table, columns: table.columns.filter(fits) }))
      .filter((table) => table.columns.length > 0)
  }, [tables, sought])
  if (failed && !tables) {
    return (
      <Blank title={t('error.title')} hint={t(`error.${failed.code}`)}>
        <Button onClick={again}>{t('error.retry')}</Button>
      </Blank>
    )
  }
  if (!tables) return <Skeleton rows={6} label={t('sql.loading')} />
  return (
    <>
      <div className="p-2">
        <TextField label={t('sql.search')} type="search" value={sought} onChange={seek} />
      </div>
      {found.length === 0 && <p className="p-4 text-center text-soft">{t('sql.notFound')}</p>}
      <ul className="pb-4">
        {found.map((table) => (
          <li key={table.name}>
            <TableEntry table={table} open={sought.trim() !== ''} onInsert={onInsert} onOpen={onOpen} />
          </li>
        ))}
      </ul>
    </>
  )
}

interface EntryProps extends Pick<Props, 'onInsert' | 'onOpen'> {
  table: Table
  open: boolean
}

function TableEntry({ table, open, onInsert, onOpen }: EntryProps) {
  return (
    <details open={open || undefined} className="group">
      <summary className="flex cursor-pointer list-none items-center gap-1.5 px-2 py-1.5 hover:bg-hover">
        <ChevronRight
          size={14}
          aria-hidden
          className="shrink-0 text-soft transition-transform group-open:rotate-90 rtl:-scale-x-100"
        />
        <Table2 size={14} aria-hidden className="shrink-0 text-brand" />
        <bdi dir="ltr" className="truncate font-mono text-[13px] font-medium">
          {table.name}
        </bdi>
        <span className="ms-auto text-xs text-soft">{number(table.columns.length)}</span>
      </summary>
      <div className="border-s border-line ms-4 ps-1.5">
        {table.about && (
          <p dir="ltr" className="aligned px-2.5 py-1 text-xs text-soft">
            {table.about}
          </p>
        )}
        <Button
          look="quiet"
          className="h-7 w-full justify-start text-xs"
          onClick={() => onOpen(`SELECT *\nFROM ${table.name}\nLIMIT 100`)}
        >
          {t('sql.look')}
        </Button>
        <ul>
          {table.columns.map((column) => (
            <li key={column.name}>
              <button
                type="button"
                onClick={() => onInsert(column.name)}
                title={t('sql.insert', { name: column.name })}
                className="w-full rounded px-2.5 py-1 text-start hover:bg-hover"
              >
                <span dir="ltr" className="flex items-baseline justify-between gap-2">
                  <span className="truncate font-mono text-[12.5px]">{column.name}</span>
                  <span className="shrink-0 text-[11px] text-soft">{column.type}</span>
                </span>
                {column.meaning && (
                  <span dir="ltr" className="aligned line-clamp-2 block text-[11.5px] text-soft">
                    {column.meaning}
                  </span>
                )}
              </button>
            </li>
          ))}
        </ul>
      </div>
    </details>
  )
}

function Kept({ library, onOpen, onRemove }: Pick<Props, 'library' | 'onOpen' | 'onRemove'>) {
  return (
    <>
      <p className="border-b border-line bg-note px-3 py-2 text-xs">{t('sql.here')}</p>
      {library.saved.length === 0 && <p className="p-4 text-center text-soft">{t('sql.nothingSaved')}</p>}
      <ul className="divide-y divide-line">
        {library.saved.map((one) => (
          <li key={one.id} className="flex items-center">
            <button
              type="button"
              className="min-w-0 flex-1 px-3 py-2 text-start hover:bg-hover"
              onClick={() => onOpen(one.sql)}
            >
              <bdi className="block truncate font-medium">{one.name}</bdi>
              <span dir="ltr" className="aligned block truncate font-mono text-[11.5px] text-soft">
                {one.sql.replace(/\s+/g, ' ')}
              </span>
            </button>
            <IconButton label={t('sql.remove', { name: one.name })} onClick={() => onRemove(one.id)}>
              <Trash2 size={14} aria-hidden />
            </IconButton>
          </li>
        ))}
      </ul>
    </>
  )
}

function Ran({ library, onOpen }: Pick<Props, 'library' | 'onOpen'>) {
  if (library.ran.length === 0) return <p className="p-4 text-center text-soft">{t('sql.nothingRan')}</p>
  return (
    <ul className="divide-y divide-line">
      {library.ran.map((one) => (
        <li key={one.at}>
          <button type="button" className="w-full px-3 py-2 text-start hover:bg-hover" onClick={() => onOpen(one.sql)}>
            <span dir="ltr" className="aligned line-clamp-2 block font-mono text-[11.5px]">
              {one.sql.replace(/\s+/g, ' ')}
            </span>
            <span className="text-[11px] text-soft">
              {moment(one.at)} · {t('sql.rows', { count: one.rows, shown: number(one.rows) })}
            </span>
          </button>
        </li>
      ))}
    </ul>
  )
}
