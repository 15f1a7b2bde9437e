/** Everything that can be done, found by its words: the command palette. */
import { useState } from 'react'
import { t } from '../i18n'
import { commands } from './commands'
import { findConversations } from './find'
import { type PickItem, pick } from './pick'

function usePalette(): PickItem[] {
  // As they were when it was opened: the page behind it does not change.
  const [offered] = useState(() => commands().filter((one) => !one.hidden))
  return offered
}

export function openPalette(): void {
  pick({
    title: t('palette.title'),
    placeholder: t('palette.placeholder'),
    useItems: usePalette,
    search: findConversations,
  })
}
