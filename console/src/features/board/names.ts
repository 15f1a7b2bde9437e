/** What KPIs are called and mean in the spoken language; what only the hub knows, in its own words. */
import type { Definition } from '../../data/kpi'
import { i18n, language } from '../../i18n'

const said = (id: string): string | undefined => (Object.hasOwn(i18n.messages, id) ? i18n._(id) : undefined)

const plain = (name: string): string => name.replaceAll('_', ' ')

export const titleOf = (name: string, known: ReadonlyMap<string, Definition>): string =>
  said(`board.kpi.${name}`) ?? said(`kpi.${name}`) ?? known.get(name)?.title ?? plain(name)

/** The hub's sentence is the one that is tested against its numbers; ours is its translation. */
export function meaningOf(name: string, known: ReadonlyMap<string, Definition>): string {
  const theirs = known.get(name)?.definition
  const ours = said(`board.def.${name}`)
  return (language.getState().language === 'en' ? (theirs ?? ours) : (ours ?? theirs)) ?? plain(name)
}
