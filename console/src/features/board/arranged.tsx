/** The charts side by side; on a wall as many as fit, the others in their turn. */
import { ChevronRight, Pause, Play } from 'lucide-react'
import { Children, type ReactNode, useEffect, useState } from 'react'
import { useCommands } from '../../app/commands'
import { t } from '../../i18n'
import { IconButton } from '../../ui/button'

/** How many charts a wall shows at a time, and for how long, in milliseconds. */
const AT_A_TIME = 6
const TURN_MS = 30_000

export function Arranged({ wall, children }: { wall: boolean; children: ReactNode }) {
  if (wall) return <Turns>{children}</Turns>
  return <div className="grid gap-4 lg:grid-cols-2 xl:grid-cols-3">{children}</div>
}

function Turns({ children }: { children: ReactNode }) {
  const all = Children.toArray(children)
  const turns = Math.max(1, Math.ceil(all.length / AT_A_TIME))
  const [turn, setTurn] = useState(0)
  // Nothing moves by itself for those who asked for that.
  const [still, setStill] = useState(() => matchMedia('(prefers-reduced-motion: reduce)').matches)
  useEffect(() => {
    if (still || turns < 2) return
    const timer = setInterval(() => setTurn((old) => old + 1), TURN_MS)
    return () => clearInterval(timer)
  }, [still, turns])
  const next = () => setTurn((old) => old + 1)
  useCommands([
    { id: 'board.still', title: t('board.still'), group: t('board.title'), keys: 'Space', run: () => setStill(!still) },
    { id: 'board.next', title: t('board.next'), group: t('board.title'), keys: 'KeyN', run: next },
  ])
  const from = (turn % turns) * AT_A_TIME
  return (
    <>
      <div className="grid min-h-0 flex-1 auto-rows-fr grid-cols-2 gap-4 lg:grid-cols-3">
        {all.slice(from, from + AT_A_TIME)}
      </div>
      {turns > 1 && (
        <div className="flex items-center justify-center gap-2 text-xs text-soft">
          <IconButton label={still ? t('board.go') : t('board.still')} onClick={() => setStill(!still)}>
            {still ? <Play size={14} aria-hidden /> : <Pause size={14} aria-hidden />}
          </IconButton>
          <span className="tabular-nums">
            <bdi>
              {(turn % turns) + 1} / {turns}
            </bdi>
          </span>
          <IconButton label={t('board.next')} onClick={next}>
            <ChevronRight size={14} aria-hidden className="rtl:-scale-x-100" />
          </IconButton>
        </div>
      )}
    </>
  )
}
