import type { Agent, CannedReply } from '../../api/types'
import { VARIABLES } from '../../data/variables'
import { t } from '../../i18n'
import { rendered, type Variables } from './canned'

/** What is offered at the caret. */
export type Suggestion =
  | { key: string; kind: 'canned'; reply: CannedReply }
  | { key: string; kind: 'person'; agent: Agent }

interface Props {
  id: string
  all: readonly Suggestion[]
  chosen: number
  variables: Variables
  onChoose: (one: Suggestion) => void
}

/** Canned replies with a preview, or colleagues; the field below keeps the focus and takes the keys. */
export function Suggestions({ id, all, chosen, variables, onChoose }: Props) {
  const current = all[chosen]
  const preview = current?.kind === 'canned' ? rendered(current.reply.text, variables) : undefined
  return (
    <div className="absolute inset-x-0 bottom-full z-30 mb-1.5 overflow-hidden rounded-xl border border-line bg-raised shadow-xl">
      <div id={id} role="listbox" aria-label={t('composer.suggestions')} className="max-h-56 overflow-y-auto p-1">
        {all.map((one, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field takes the keys
          // biome-ignore lint/a11y/useFocusableInteractive: the field has the focus
          <div
            key={one.key}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === chosen}
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => onChoose(one)}
            className={`flex min-h-8 cursor-pointer items-baseline gap-2.5 rounded-md px-2.5 py-1 ${index === chosen ? 'bg-hover' : ''}`}
          >
            {one.kind === 'canned' ? (
              <>
                <bdi className="shrink-0 font-medium">/{one.reply.shortcut}</bdi>
                <span dir="auto" className="aligned min-w-0 flex-1 truncate text-[13px] text-soft">
                  {one.reply.title || one.reply.text}
                </span>
              </>
            ) : (
              <bdi className="font-medium">@{one.agent.name}</bdi>
            )}
          </div>
        ))}
      </div>
      {preview && (
        <div className="border-t border-line bg-sunken px-3.5 py-2">
          <p dir="auto" className="max-h-32 overflow-y-auto whitespace-pre-wrap text-[13px]">
            {preview.text}
          </p>
          {preview.missing.length > 0 && (
            <p className="pt-1 text-xs text-warn">
              {t('composer.missing', { names: preview.missing.map(variableName).join(t('list.comma')) })}
            </p>
          )}
        </div>
      )}
    </div>
  )
}

/** What a variable stands for, in words. */
export function variableName(name: string): string {
  const known = VARIABLES.find((one) => one === name)
  return known ? t(`variable.${known}`) : name
}
