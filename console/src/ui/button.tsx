import type { ButtonHTMLAttributes, ReactNode } from 'react'

type Look = 'primary' | 'plain' | 'quiet' | 'danger'

const LOOKS: Record<Look, string> = {
  primary: 'bg-brand text-on-brand hover:bg-brand-strong disabled:opacity-50',
  plain: 'border border-line bg-panel hover:bg-hover disabled:opacity-50',
  quiet: 'text-soft hover:bg-hover hover:text-ink disabled:opacity-50',
  danger: 'text-danger hover:bg-danger-tint',
}

export const buttonClass = (look: Look = 'plain', extra = ''): string =>
  `inline-flex h-8 shrink-0 items-center justify-center gap-1.5 whitespace-nowrap rounded-md px-2.5 text-[13px] font-medium transition-colors ${LOOKS[look]} ${extra}`

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: Look
  icon?: ReactNode
}

export function Button({ look = 'plain', icon, className = '', children, ...rest }: Props) {
  return (
    <button type="button" className={buttonClass(look, className)} {...rest}>
      {icon}
      {children}
    </button>
  )
}

/** A button that shows only an icon; its label is read out and shown as a hint. */
export function IconButton({
  label,
  className = '',
  children,
  ...rest
}: Omit<Props, 'look' | 'icon'> & { label: string }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      className={`inline-grid size-8 shrink-0 place-items-center rounded-md text-soft transition-colors hover:bg-hover hover:text-ink disabled:opacity-50 ${className}`}
      {...rest}
    >
      {children}
    </button>
  )
}
