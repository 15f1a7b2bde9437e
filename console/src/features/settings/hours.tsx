/** When the workspace is open: what business time is. */
import { Plus, X } from 'lucide-react'
import { useMemo, useState } from 'react'
import { live } from '../../app/live'
import { ask, useAct } from '../../data/ask'
import { t } from '../../i18n'
import { number } from '../../i18n/format'
import { Button, IconButton } from '../../ui/button'
import { TextField } from '../../ui/form'
import { Badge, Card, can, Refused, SectionPage, useConfirm, When } from './parts'
import { clashes, copied, type Holiday, type Hours, open, type Period, WEEKDAYS, type Weekday } from './week'
import { useWorkspace } from './workspace'

const TIME = 'h-9 rounded-md border border-line-strong bg-panel px-2 tabular-nums disabled:opacity-60'
const path = () => `/api/v1/workspaces/${live().me.workspace_id}/business-hours`

export function HoursPage() {
  const loaded = useWorkspace()
  return (
    <SectionPage id="hours">
      <When loaded={loaded}>
        {(workspace) => {
          const hours = (workspace as { business_hours?: Hours | null }).business_hours ?? undefined
          return <Form key={JSON.stringify(hours)} hours={hours} zone={workspace.time_zone} changed={loaded.changed} />
        }}
      </When>
    </SectionPage>
  )
}

/** What many begin with; shown as a proposal, never as what holds. */
const PROPOSAL: Period[] = (['sunday', 'monday', 'tuesday', 'wednesday', 'thursday'] as const).map((weekday) => ({
  weekday,
  opens: '09:00',
  closes: '17:00',
}))

function Form({ hours, zone, changed }: { hours: Hours | undefined; zone: string; changed: () => Promise<void> }) {
  const [periods, setPeriods] = useState<readonly Period[]>(hours?.periods ?? [])
  const [holidays, setHolidays] = useState<readonly Holiday[]>(hours?.holidays ?? [])
  const act = useAct()
  const [dialog, confirm] = useConfirm()
  const wrong = useMemo(() => clashes(periods), [periods])
  const manage = can('manageWorkspace')
  const badHoliday = holidays.some((one) => !one.date)
  const finish = (job: () => Promise<unknown>) =>
    void act.run(async () => {
      await job()
      await changed()
    })
  const save = () => finish(() => ask('PUT', path(), { body: { periods, holidays } }))
  const put = (place: number, change: Partial<Period>) =>
    setPeriods(periods.map((one, at) => (at === place ? { ...one, ...change } : one)))
  if (!hours && periods.length === 0) {
    return (
      <Card>
        <div className="space-y-3 p-6 text-center">
          <p className="font-medium">{t('settings.hours.none')}</p>
          <p className="text-soft">{t('settings.hours.noneHint')}</p>
          {manage && <Button onClick={() => setPeriods(PROPOSAL)}>{t('settings.hours.begin')}</Button>}
        </div>
      </Card>
    )
  }
  return (
    <>
      <Card title={t('settings.hours.week')} lead={t('settings.hours.zone', { zone })}>
        <ul className="divide-y divide-line">
          {WEEKDAYS.map((day) => (
            <Day
              key={day}
              day={day}
              periods={periods}
              wrong={wrong.has(day)}
              manage={manage}
              put={put}
              set={setPeriods}
            />
          ))}
        </ul>
        <p className="border-t border-line px-4 py-2.5 text-[13px] text-soft">
          {t('settings.hours.open', {
            count: Math.round(open(periods) / 60),
            shown: number(Math.round(open(periods) / 6) / 10),
          })}
        </p>
      </Card>
      <Holidays holidays={holidays} set={setHolidays} manage={manage} />
      <Refused failed={act.failed} />
      {manage && (
        <div className="flex flex-wrap items-center gap-3">
          <Button
            look="primary"
            className="h-9 px-4"
            disabled={act.busy || wrong.size > 0 || badHoliday}
            onClick={save}
          >
            {act.busy ? t('settings.saving') : t('settings.save')}
          </Button>
          {hours && (
            <Button
              look="danger"
              onClick={() =>
                confirm({
                  title: t('settings.hours.remove'),
                  text: t('settings.hours.removeText'),
                  label: t('settings.remove'),
                  run: () => finish(() => ask('DELETE', path())),
                })
              }
            >
              {t('settings.hours.remove')}
            </Button>
          )}
          <span role="status" className="text-[13px] text-brand">
            {act.done && t('settings.saved')}
          </span>
        </div>
      )}
      {dialog}
    </>
  )
}

interface DayProps {
  day: Weekday
  periods: readonly Period[]
  wrong: boolean
  manage: boolean
  put: (place: number, change: Partial<Period>) => void
  set: (periods: readonly Period[]) => void
}

function Day({ day, periods, wrong, manage, put, set }: DayProps) {
  const name = t(`settings.day.${day}`)
  const mine = periods.map((period, place) => ({ period, place })).filter((one) => one.period.weekday === day)
  const add = () => {
    const last = mine.at(-1)?.period
    set([...periods, { weekday: day, opens: last?.closes ?? '09:00', closes: last ? '22:00' : '17:00' }])
  }
  return (
    <li className="flex flex-wrap items-start gap-x-4 gap-y-2 px-4 py-3">
      <h3 className="w-24 pt-1.5 font-medium">{name}</h3>
      <div className="min-w-56 flex-1 space-y-2">
        {mine.length === 0 && <p className="pt-1.5 text-soft">{t('settings.hours.closed')}</p>}
        {mine.map(({ period, place }) => (
          <div key={place} className="flex flex-wrap items-center gap-2">
            <input
              type="time"
              className={TIME}
              aria-label={t('settings.hours.opens', { day: name })}
              disabled={!manage}
              value={period.opens}
              onChange={(event) => put(place, { opens: event.target.value })}
            />
            <span className="text-soft">{t('settings.hours.to')}</span>
            <input
              type="time"
              className={TIME}
              aria-label={t('settings.hours.closes', { day: name })}
              disabled={!manage}
              value={period.closes === '24:00' ? '00:00' : period.closes}
              onChange={(event) => put(place, { closes: event.target.value })}
            />
            {period.closes <= period.opens && <Badge>{t('settings.hours.nextDay')}</Badge>}
            {manage && (
              <IconButton
                label={t('settings.hours.removePeriod', { day: name })}
                onClick={() => set(periods.filter((_, at) => at !== place))}
              >
                <X size={15} aria-hidden />
              </IconButton>
            )}
          </div>
        ))}
        {wrong && (
          <p role="alert" className="text-xs text-danger">
            {t('settings.hours.clash')}
          </p>
        )}
      </div>
      {manage && (
        <div className="flex gap-1">
          <IconButton label={t('settings.hours.addPeriod', { day: name })} onClick={add}>
            <Plus size={15} aria-hidden />
          </IconButton>
          {mine.length > 0 && (
            <Button
              look="quiet"
              aria-label={t('settings.hours.copyFrom', { day: name })}
              onClick={() => {
                const days = WEEKDAYS.filter((one) => periods.some((period) => period.weekday === one))
                set(copied(periods, day, days))
              }}
            >
              {t('settings.hours.copy')}
            </Button>
          )}
        </div>
      )}
    </li>
  )
}

interface HolidayProps {
  holidays: readonly Holiday[]
  set: (holidays: readonly Holiday[]) => void
  manage: boolean
}

function Holidays({ holidays, set, manage }: HolidayProps) {
  const put = (place: number, change: Partial<Holiday>) =>
    set(holidays.map((one, at) => (at === place ? { ...one, ...change } : one)))
  return (
    <Card title={t('settings.hours.holidays')} lead={t('settings.hours.holidaysLead')}>
      <ul className="divide-y divide-line">
        {holidays.map((one, place) => (
          <li key={place} className="flex flex-wrap items-end gap-3 px-4 py-3">
            <TextField
              label={t('settings.hours.date')}
              type="date"
              disabled={!manage}
              value={one.date}
              onChange={(date) => put(place, { date })}
            />
            <TextField
              className="min-w-40 flex-1"
              label={t('settings.hours.holiday')}
              disabled={!manage}
              value={one.name}
              onChange={(name) => put(place, { name })}
              maxLength={100}
            />
            {manage && (
              <IconButton label={t('settings.remove')} onClick={() => set(holidays.filter((_, at) => at !== place))}>
                <X size={15} aria-hidden />
              </IconButton>
            )}
          </li>
        ))}
      </ul>
      {manage && (
        <div className="p-3">
          <Button
            look="quiet"
            icon={<Plus size={14} aria-hidden />}
            onClick={() => set([...holidays, { date: '', name: '' }])}
          >
            {t('settings.hours.addHoliday')}
          </Button>
        </div>
      )}
    </Card>
  )
}
