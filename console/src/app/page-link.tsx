import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'

interface Props {
  to: string
  search?: Record<string, unknown>
  className?: string
  title?: string
  children: ReactNode
}

/** A link to a feature's page, whose address only the feature knows; it has `data-status="active"` on that page. */
export function PageLink({ to, search, ...rest }: Props) {
  return <Link to={to as '/inbox'} search={search ?? {}} {...rest} />
}
