import type { ReactNode } from 'react'

/** What stands where there is nothing to show: empty, failed, forbidden. */
export function Blank({
  icon,
  title,
  hint,
  children,
}: {
  icon?: ReactNode
  title: string
  hint?: string
  children?: ReactNode
}) {
  return (
    <div className="grid h-full place-content-center justify-items-center gap-2 p-8 text-center text-soft">
      {icon}
      <p className="text-[15px] font-medium text-ink">{title}</p>
      {hint && <p className="max-w-72">{hint}</p>}
      {children}
    </div>
  )
}

/** A place that is being filled: quiet bars, read out once. */
export function Skeleton({ rows, label }: { rows: number; label: string }) {
  return (
    <div role="status" aria-label={label} className="blink">
      {Array.from({ length: rows }, (_, row) => row).map((row) => (
        <div key={row} className="flex gap-3 px-3 py-3">
          <div className="size-9 rounded-full bg-sunken" />
          <div className="flex-1 space-y-2 py-1">
            <div className="h-3 w-1/3 rounded bg-sunken" />
            <div className="h-3 w-4/5 rounded bg-sunken" />
          </div>
        </div>
      ))}
    </div>
  )
}
