/** The live board: figures of now as they are pushed, and how they went; on a wall without everything else. */
import { useSearch } from '@tanstack/react-router'
import { ChartColumn, GitCompareArrows, Maximize, MonitorPlay, X } from 'lucide-react'
import { lazy, Suspense, useEffect, useMemo, useState } from 'react'
import { useStore } from 'zustand'
import { client, of } from '../../api/client'
import type { KpiValue } from '../../api/types'
import { useSeconds } from '../../app/clock'
import { useCommands } from '../../app/commands'
import { LinkBadge } from '../../app/connection'
import { live, useDesk } from '../../app/live'
import { useAgents, useChannels, useLabels } from '../../app/people'
import { go } from '../../app/router'
import { useWall } from '../../app/wall'
import { percent } from '../../data/format'
import { RANGES, type Range, useAsked, useDefinitions } from '../../data/kpi'
import { language, t } from '../../i18n'
import { clock, number } from '../../i18n/format'
import { Button, IconButton } from '../../ui/button'
import { Segments, Select } from '../../ui/form'
import { Skeleton } from '../../ui/state'
import { Charts, useLoad } from './charts'
import type { Behind } from './drill'
import type { BoardSearch } from './search'
import { Table } from './tables'
import { Tiles } from './tiles'
import { cellKey, useTrails } from './trail'

const Pinned = lazy(() => import('./pinned'))
const BehindSheet = lazy(async () => ({ default: (await import('./behind')).BehindSheet }))

/** Keeps the screen of a wall from going dark, where the browser can. */
function useAwake(on: boolean): void {
  useEffect(() => {
    if (!on) return
    let lock: WakeLockSentinel | undefined
    let over = false
    const take = async () => {
      if (document.hidden || !navigator.wakeLock) return
      try {
        const taken = await navigator.wakeLock.request('screen')
        if (over) await taken.release()
        else lock = taken
      } catch {
        // The battery is low, or the browser does not want to.
      }
    }
    void take()
    const seen = () => void take()
    document.addEventListener('visibilitychange', seen)
    return () => {
      over = true
      document.removeEventListener('visibilitychange', seen)
      void lock?.release()
    }
  }, [on])
}

const useZone = (): string | undefined => {
  const { me } = live()
  const params = { path: { workspace_id: me.workspace_id } }
  const { data, failed } = useAsked(
    ['workspace'],
    () => of(client.GET('/api/v1/workspaces/{workspace_id}', { params })),
    0,
  )
  return data?.time_zone ?? (failed ? 'UTC' : undefined)
}

export function BoardPage() {
  useStore(language, (state) => state.language)
  const search = useSearch({ strict: false }) as BoardSearch
  const range: Range = search.range ?? 'day'
  const wall = search.wall === true
  const board = useDesk((state) => state.board)
  const trails = useTrails(board)
  const known = useDefinitions()
  const zone = useZone()
  const [what, look] = useState<Behind>()
  useWall(wall)
  useAwake(wall)
  const cells = useMemo(() => {
    const all = new Map<string, KpiValue>()
    for (const value of board?.values ?? []) all.set(cellKey(value), value)
    return all
  }, [board])
  const set = (part: Partial<BoardSearch>) => {
    const next = { ...search, ...part } as Record<string, unknown>
    go('/board', Object.fromEntries(Object.entries(next).filter(([, value]) => value !== undefined && value !== false)))
  }
  const toWall = () => {
    set({ wall: true })
    void document.documentElement.requestFullscreen?.().catch(() => undefined)
  }
  const fromWall = () => {
    set({ wall: undefined })
    if (document.fullscreenElement) void document.exitFullscreen()
  }
  useCommands([
    { id: 'board.wall', title: t('board.wall'), group: t('board.title'), keys: 'KeyW', run: wall ? fromWall : toWall },
    {
      id: 'board.leave',
      title: t('board.leaveWall'),
      group: t('board.title'),
      keys: 'Escape',
      hidden: true,
      run: () => wall && fromWall(),
    },
    {
      id: 'board.compare',
      title: t('board.compare'),
      group: t('board.title'),
      keys: 'KeyC',
      run: () => set({ compare: search.compare ? undefined : true }),
    },
    ...RANGES.map((one, place) => ({
      id: `board.range.${one}`,
      title: t(`board.range.${one}`),
      group: t('board.title'),
      keys: `Digit${place + 1}`,
      run: () => set({ range: one }),
    })),
  ])
  if (!board) return <Skeleton rows={6} label={t('board.waiting')} />
  const filters = {
    ...(search.channel ? { channel: search.channel } : {}),
    ...(search.agent ? { agent: search.agent } : {}),
    ...(search.label ? { label: search.label } : {}),
  }
  const tiles = (
    <Tiles
      cells={cells}
      scope={search.agent ?? search.channel ?? ''}
      trails={trails}
      known={known}
      wall={wall}
      onBehind={(one) =>
        look({
          ...one,
          ...(search.agent ? { agent: search.agent } : search.channel ? { channel: search.channel } : {}),
        })
      }
    />
  )
  const charts = zone && (
    <Charts
      range={range}
      zone={zone}
      filters={filters}
      compare={search.compare === true}
      wall={wall}
      known={known}
      cells={cells}
      onBehind={look}
    />
  )
  if (wall) {
    return (
      <div className="flex h-full flex-col gap-4 overflow-hidden p-4">
        <WallHead asOf={board.as_of} range={range} leave={fromWall} />
        {tiles}
        {charts}
      </div>
    )
  }
  return (
    <div className="h-full overflow-y-auto p-4 sm:p-6">
      <div className="mx-auto max-w-7xl space-y-5">
        <div className="flex flex-wrap items-center gap-3">
          <h1 className="text-lg font-semibold">{t('board.title')}</h1>
          <p className="text-xs text-soft">{t('board.asOf', { time: clock(board.as_of) })}</p>
          <Load cells={cells} />
          <span className="ms-auto">
            <Button icon={<MonitorPlay size={15} aria-hidden />} onClick={toWall}>
              {t('board.wall')}
            </Button>
          </span>
        </div>
        <FilterBar search={search} range={range} set={set} cells={cells} />
        {search.agent && search.channel && <p className="text-xs text-soft">{t('board.tilesByAgent')}</p>}
        {search.label && <p className="text-xs text-soft">{t('board.tilesNoLabel')}</p>}
        {tiles}
        <Suspense>
          <Pinned asOf={board.as_of} />
        </Suspense>
        {charts}
        <Groups cells={cells} known={known} onBehind={look} />
      </div>
      <Suspense>{what && <BehindSheet what={what} close={() => look(undefined)} />}</Suspense>
    </div>
  )
}

function Load({ cells }: { cells: ReadonlyMap<string, KpiValue> }) {
  const load = useLoad(cells)
  if (!load) return null
  const text = t('board.load', {
    open: number(load.open),
    room: number(load.room),
    share: percent(load.open / load.room),
  })
  return (
    <p className="text-xs text-soft" title={t('board.loadMeaning')}>
      {text}
    </p>
  )
}

interface FilterProps {
  search: BoardSearch
  range: Range
  set: (part: Partial<BoardSearch>) => void
  cells: ReadonlyMap<string, KpiValue>
}

function FilterBar({ search, range, set, cells }: FilterProps) {
  const channels = useChannels()
  const agents = useAgents()
  const labels = useLabels()
  // Analysts see no channels' names, but may still choose among those with figures.
  const ids = [...new Set([...cells.values()].flatMap((one) => one.channel_id ?? []))]
  const named = ids.map((id) => ({ value: id, label: channels.get(id)?.name ?? id.slice(0, 8) }))
  const all = (label: string) => ({ value: '', label })
  const filtered = search.channel || search.agent || search.label
  return (
    <div className="flex flex-wrap items-center gap-2">
      <div className="max-w-full overflow-x-auto">
        <Segments
          label={t('board.range')}
          value={range}
          onChange={(one) => set({ range: one })}
          choices={RANGES.map((value) => ({ value, label: t(`board.range.${value}`) }))}
        />
      </div>
      <Select
        label={t('board.channel')}
        value={search.channel ?? ''}
        onChange={(channel) => set({ channel: channel || undefined })}
        choices={[all(t('board.allChannels')), ...named]}
      />
      <Select
        label={t('board.agent')}
        value={search.agent ?? ''}
        onChange={(agent) => set({ agent: agent || undefined })}
        choices={[
          all(t('board.allAgents')),
          ...[...agents.values()].map((one) => ({ value: one.user_id, label: one.name })),
        ]}
      />
      {labels.size > 0 && (
        <Select
          label={t('board.label')}
          value={search.label ?? ''}
          onChange={(label) => set({ label: label || undefined })}
          choices={[all(t('board.allLabels')), ...[...labels.keys()].map((value) => ({ value, label: value }))]}
        />
      )}
      {filtered && (
        <Button
          look="quiet"
          icon={<X size={14} aria-hidden />}
          onClick={() => set({ channel: undefined, agent: undefined, label: undefined })}
        >
          {t('board.clear')}
        </Button>
      )}
      <Button
        icon={<GitCompareArrows size={14} aria-hidden />}
        aria-pressed={search.compare === true}
        className="aria-pressed:border-brand aria-pressed:bg-tint aria-pressed:text-brand"
        onClick={() => set({ compare: search.compare ? undefined : true })}
      >
        {t('board.compare')}
      </Button>
    </div>
  )
}

interface GroupsProps {
  cells: ReadonlyMap<string, KpiValue>
  known: ReturnType<typeof useDefinitions>
  onBehind: (what: Behind) => void
}

function Groups(props: GroupsProps) {
  const agents = useAgents()
  const channels = useChannels()
  const ids = (of: 'channel_id' | 'agent_id') => [...new Set([...props.cells.values()].flatMap((one) => one[of] ?? []))]
  return (
    <>
      <Table
        {...props}
        of="channel"
        title={t('board.byChannel')}
        rows={ids('channel_id').map((id) => ({ id, name: channels.get(id)?.name ?? id.slice(0, 8) }))}
      />
      <Table
        {...props}
        of="agent"
        title={t('board.byAgent')}
        rows={ids('agent_id').map((id) => ({ id, name: agents.get(id)?.name ?? id.slice(0, 8) }))}
      />
    </>
  )
}

function WallHead({ asOf, range, leave }: { asOf: string; range: Range; leave: () => void }) {
  const now = useSeconds()
  const { me } = live()
  const name = me.workspaces.find((one) => one.workspace_id === me.workspace_id)?.name ?? ''
  return (
    <header className="flex items-center gap-4">
      <ChartColumn size={22} aria-hidden className="text-brand" />
      <h1 className="text-xl font-semibold">
        <bdi>{name}</bdi>
      </h1>
      <span className="text-soft">{t(`board.range.${range}`)}</span>
      <span className="ms-auto flex items-center gap-4 text-soft">
        <LinkBadge />
        <span className="text-xs">{t('board.asOf', { time: clock(asOf) })}</span>
        <time className="text-2xl font-semibold tabular-nums text-ink">{clock(now)}</time>
        {!document.fullscreenElement && (
          <IconButton
            label={t('board.full')}
            onClick={() => void document.documentElement.requestFullscreen?.().catch(() => undefined)}
          >
            <Maximize size={16} aria-hidden />
          </IconButton>
        )}
        <IconButton label={t('board.leaveWall')} onClick={leave}>
          <X size={16} aria-hidden />
        </IconButton>
      </span>
    </header>
  )
}
