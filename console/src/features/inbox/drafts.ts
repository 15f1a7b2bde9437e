/** What was begun and not sent, by conversation, kept in this browser. */
import { live } from '../../app/live'

export interface Draft {
  mode: 'message' | 'note'
  text: string
}

/** The most drafts that are kept: the oldest give way. */
const MOST = 200
const storeKey = () => `saler.drafts.${live().me.workspace_id}.${live().me.user_id}`

function all(): Record<string, Draft> {
  try {
    return JSON.parse(localStorage.getItem(storeKey()) ?? '{}') as Record<string, Draft>
  } catch {
    return {}
  }
}

export function draftOf(id: string): Draft {
  return all()[id] ?? { mode: 'message', text: '' }
}

export function keepDraft(id: string, draft: Draft): void {
  const { [id]: _old, ...rest } = all()
  const entries = Object.entries(rest).slice(1 - MOST)
  if (draft.text) entries.push([id, draft])
  try {
    localStorage.setItem(storeKey(), JSON.stringify(Object.fromEntries(entries)))
  } catch {
    // It stays in the field as long as the conversation is open.
  }
}
