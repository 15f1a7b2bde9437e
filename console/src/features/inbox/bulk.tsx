import { AlarmClock, Check, ChevronsUp, Tag, UserPlus, X } from 'lucide-react'
import { useStore } from 'zustand'
import { live } from '../../app/live'
import { t } from '../../i18n'
import { type View, viewKey } from '../../live/view'
import { IconButton } from '../../ui/button'
import { pickAssignee, pickLabels, pickPriority, pickSnooze, setStatus } from './actions'
import { clearSelection, selectAll, selection } from './selection'

/** What can be done with all marked conversations; stands above the list while any is marked. */
export function BulkBar({ view }: { view: View }) {
  const ids = useStore(selection, (state) => state.ids)
  if (ids.size === 0) return null
  const marked = [...ids]
  const done = (run: (ids: readonly string[]) => void) => () => {
    run(marked)
    clearSelection()
  }
  const all = live().desk.state.lists[viewKey(view)]?.ids ?? []
  return (
    <div role="toolbar" aria-label={t('bulk.label')} className="border-b border-line bg-tint px-2 py-1.5">
      <div className="flex items-center gap-0.5">
        <IconButton label={t('bulk.clear')} onClick={clearSelection}>
          <X size={16} aria-hidden />
        </IconButton>
        <p role="status" className="me-auto font-medium">
          {t('bulk.selected', { count: ids.size })}
        </p>
        <IconButton label={t('action.assignTo')} onClick={() => pickAssignee(marked)}>
          <UserPlus size={16} aria-hidden />
        </IconButton>
        <IconButton label={t('panel.labels')} onClick={() => pickLabels(marked)}>
          <Tag size={16} aria-hidden />
        </IconButton>
        <IconButton label={t('panel.priority')} onClick={() => pickPriority(marked)}>
          <ChevronsUp size={16} aria-hidden />
        </IconButton>
        <IconButton label={t('action.snooze')} onClick={() => pickSnooze(marked)}>
          <AlarmClock size={16} aria-hidden />
        </IconButton>
        <IconButton label={t('action.resolve')} onClick={done((of) => setStatus(of, 'resolved'))}>
          <Check size={16} aria-hidden />
        </IconButton>
      </div>
      {all.length > ids.size && (
        <button
          type="button"
          className="px-2 pb-1 text-xs font-medium text-brand hover:underline"
          onClick={() => selectAll(all)}
        >
          {t('bulk.all', { count: all.length })}
        </button>
      )}
    </div>
  )
}
