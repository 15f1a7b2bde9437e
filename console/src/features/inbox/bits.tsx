import {
  ChevronDown,
  ChevronsUp,
  ChevronUp,
  Equal,
  Frown,
  Globe,
  MessageSquareText,
  Phone,
  Smile,
  UserRound,
} from 'lucide-react'
import type { Medium, Priority, SentimentLabel } from '../../api/types'
import { initials } from '../../app/shell'
import { t } from '../../i18n'

const ICONS = { sms: MessageSquareText, whatsapp: Phone, web_chat: Globe }

export function MediumIcon({ medium, size = 12 }: { medium: Medium | undefined; size?: number }) {
  if (!medium) return null
  const Icon = ICONS[medium]
  return <Icon size={size} role="img" aria-label={t(`medium.${medium}`)} />
}

/** Quiet colours that tell people apart. */
const HUES = [
  'bg-[light-dark(#e3f2ed,#17312b)] text-[light-dark(#12715b,#5cc7aa)]',
  'bg-[light-dark(#e6eefa,#1a2a40)] text-[light-dark(#2b5fa3,#8bb6ee)]',
  'bg-[light-dark(#f6eadb,#3a2b17)] text-[light-dark(#8a5a12,#e0b36a)]',
  'bg-[light-dark(#f3e6f4,#35203a)] text-[light-dark(#83418c,#d59ade)]',
  'bg-[light-dark(#e9ecef,#272d33)] text-[light-dark(#4b5a66,#aebac4)]',
]

export function Avatar({ id, name, medium }: { id: string; name: string; medium?: Medium | undefined }) {
  const hue = HUES[(Number.parseInt(id.slice(-4), 16) || 0) % HUES.length]
  const letters = initials(name)
  return (
    <span
      className={`relative grid size-9 shrink-0 place-items-center rounded-full text-xs font-semibold ${hue}`}
      aria-hidden
    >
      {letters || <UserRound size={16} />}
      {medium && (
        <span className="absolute -bottom-0.5 -end-0.5 grid size-4 place-items-center rounded-full bg-panel text-soft ring-1 ring-line">
          <MediumIcon medium={medium} size={9} />
        </span>
      )}
    </span>
  )
}

export function LabelDot({ color }: { color?: string | null | undefined }) {
  return <span aria-hidden className="size-1.5 shrink-0 rounded-full bg-brand" ref={(dot) => paint(dot, color)} />
}

export function LabelChip({ name, color }: { name: string; color?: string | null | undefined }) {
  return (
    <span className="inline-flex max-w-32 items-center gap-1 truncate rounded bg-sunken px-1.5 text-[11px] text-soft">
      <LabelDot color={color} />
      <bdi className="truncate">{name}</bdi>
    </span>
  )
}

const PRIORITY = { urgent: ChevronsUp, high: ChevronUp, normal: Equal, low: ChevronDown }

export function PriorityIcon({ priority, size = 15 }: { priority: Priority; size?: number }) {
  const Icon = PRIORITY[priority]
  return (
    <Icon
      size={size}
      aria-hidden
      className={priority === 'urgent' ? 'text-danger' : priority === 'high' ? 'text-warn' : ''}
    />
  )
}

/** How a contact sounds, where that is worth a glance: what is neutral says nothing. */
export function Mood({ label, size = 13 }: { label: SentimentLabel | null | undefined; size?: number }) {
  if (label !== 'negative' && label !== 'positive') return null
  const Icon = label === 'negative' ? Frown : Smile
  const says = t(`sentiment.${label}`)
  return (
    <span title={says} className="shrink-0">
      <Icon size={size} role="img" aria-label={says} className={label === 'negative' ? 'text-warn' : 'text-soft'} />
    </span>
  )
}

function paint(dot: HTMLElement | null, color: string | null | undefined): void {
  if (dot && color) dot.style.backgroundColor = color
}
