import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'

interface Props {
  to: string
  search?: Record<string, unknown>
  className?: string
  title?: string
  /** What stands after `#`. */
  hash?: string
  /** What it is called, if its content does not say so. */
  label?: string
  children: ReactNode
}

/** A link to a feature's page, whose address only the feature knows; it has `data-status="active"` on that page. */
export function PageLink({ to, search, label, ...rest }: Props) {
  return <Link to={to as '/inbox'} search={search ?? {}} {...(label ? { 'aria-label': label } : {})} {...rest} />
}
