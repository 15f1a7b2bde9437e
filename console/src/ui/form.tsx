/** Fields of forms: a label, what to write, what is wrong with it; tied together for those who hear the page. */
import { Check, Copy } from 'lucide-react'
import { type InputHTMLAttributes, type ReactNode, type TextareaHTMLAttributes, useId, useState } from 'react'
import { buttonClass } from './button'

const FIELD =
  'w-full rounded-md border border-line-strong bg-panel px-3 text-[14px] disabled:opacity-60 aria-invalid:border-danger'

interface Tied {
  id: string
  'aria-describedby': string | undefined
  'aria-invalid': true | undefined
}

interface Around {
  label: string
  /** What belongs into it; stands below. */
  hint?: ReactNode
  /** What is wrong; takes the place of the hint. */
  error?: string | undefined
  className?: string
}

function Tie({ label, hint, error, className = '', children }: Around & { children: (tied: Tied) => ReactNode }) {
  const id = useId()
  const below = error || hint ? `${id}-below` : undefined
  return (
    <div className={`grid content-start gap-1.5 ${className}`}>
      <label htmlFor={id} className="text-[13px] font-medium">
        {label}
      </label>
      {children({ id, 'aria-describedby': below, 'aria-invalid': error ? true : undefined })}
      {below && (
        <p id={below} className={`text-xs ${error ? 'text-danger' : 'text-soft'}`}>
          {error || hint}
        </p>
      )}
    </div>
  )
}

type Input = Omit<InputHTMLAttributes<HTMLInputElement>, 'onChange' | 'value' | 'className'>

export function TextField({
  label,
  hint,
  error,
  className,
  value,
  onChange,
  ...rest
}: Around & Input & { value: string; onChange: (value: string) => void }) {
  return (
    <Tie label={label} hint={hint} error={error} {...(className ? { className } : {})}>
      {(tied) => (
        <input
          {...rest}
          {...tied}
          className={`${FIELD} h-9`}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Tie>
  )
}

type Area = Omit<TextareaHTMLAttributes<HTMLTextAreaElement>, 'onChange' | 'value' | 'className'>

export function TextArea({
  label,
  hint,
  error,
  className,
  value,
  onChange,
  ...rest
}: Around & Area & { value: string; onChange: (value: string) => void }) {
  return (
    <Tie label={label} hint={hint} error={error} {...(className ? { className } : {})}>
      {(tied) => (
        <textarea
          {...rest}
          {...tied}
          className={`${FIELD} min-h-24 py-2`}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Tie>
  )
}

export interface Choice<T extends string> {
  value: T
  label: string
}

export function SelectField<T extends string>({
  label,
  hint,
  error,
  className,
  value,
  onChange,
  choices,
  disabled,
}: Around & { value: T; onChange: (value: T) => void; choices: readonly Choice<T>[]; disabled?: boolean }) {
  return (
    <Tie label={label} hint={hint} error={error} {...(className ? { className } : {})}>
      {(tied) => (
        <select
          {...tied}
          disabled={disabled}
          className={`${FIELD} h-9`}
          value={value}
          onChange={(event) => onChange(event.target.value as T)}
        >
          {choices.map((one) => (
            <option key={one.value} value={one.value}>
              {one.label}
            </option>
          ))}
        </select>
      )}
    </Tie>
  )
}

/** A select without a visible label, for bars of filters. */
export function Select<T extends string>({
  label,
  value,
  onChange,
  choices,
  className = '',
}: {
  label: string
  value: T
  onChange: (value: T) => void
  choices: readonly Choice<T>[]
  className?: string
}) {
  return (
    <select
      aria-label={label}
      title={label}
      className={`h-8 max-w-44 rounded-md border border-line bg-panel px-2 text-[13px] ${className}`}
      value={value}
      onChange={(event) => onChange(event.target.value as T)}
    >
      {choices.map((one) => (
        <option key={one.value} value={one.value}>
          {one.label}
        </option>
      ))}
    </select>
  )
}

/** A choice of few that are all visible. */
export function Segments<T extends string>({
  label,
  value,
  onChange,
  choices,
}: {
  label: string
  value: T
  onChange: (value: T) => void
  choices: readonly (Choice<T> & { icon?: ReactNode })[]
}) {
  return (
    <fieldset className="inline-flex h-8 rounded-md border border-line bg-sunken p-0.5">
      <legend className="sr-only">{label}</legend>
      {choices.map((one) => (
        <button
          key={one.value}
          type="button"
          aria-pressed={one.value === value}
          title={one.icon ? one.label : undefined}
          onClick={() => onChange(one.value)}
          className="inline-flex items-center gap-1 whitespace-nowrap rounded px-2.5 text-[13px] text-soft hover:text-ink aria-pressed:bg-panel aria-pressed:font-medium aria-pressed:text-ink aria-pressed:shadow-xs aria-pressed:ring-1 aria-pressed:ring-line"
        >
          {one.icon}
          {one.icon ? <span className="sr-only">{one.label}</span> : one.label}
        </button>
      ))}
    </fieldset>
  )
}

/** On or off, at once. */
export function Switch({
  label,
  hint,
  checked,
  onChange,
  disabled,
}: {
  label: string
  hint?: string
  checked: boolean
  onChange: (checked: boolean) => void
  disabled?: boolean
}) {
  const id = useId()
  return (
    <div className="flex items-start gap-3">
      <button
        id={id}
        type="button"
        role="switch"
        aria-checked={checked}
        aria-labelledby={`${id}-label`}
        disabled={disabled}
        onClick={() => onChange(!checked)}
        className="mt-0.5 inline-flex h-5 w-9 shrink-0 items-center rounded-full bg-line-strong p-0.5 transition-colors aria-checked:bg-brand disabled:opacity-50"
      >
        <span
          aria-hidden
          className={`size-4 rounded-full bg-panel shadow-sm transition-[margin] ${checked ? 'ms-4' : 'ms-0'}`}
        />
      </button>
      <label htmlFor={id} id={`${id}-label`} className="grid">
        <span className="text-[13px] font-medium">{label}</span>
        {hint && <span className="text-xs text-soft">{hint}</span>}
      </label>
    </div>
  )
}

/** A value to be taken elsewhere, with a button that copies it. It is always written from left to right. */
export function CopyField({
  label,
  value,
  copyLabel,
  copiedLabel,
  hint,
}: {
  label: string
  value: string
  copyLabel: string
  copiedLabel: string
  hint?: ReactNode
}) {
  return (
    <Tie label={label} hint={hint}>
      {(tied) => (
        <div className="flex gap-2">
          <input
            {...tied}
            readOnly
            dir="ltr"
            value={value}
            onFocus={(event) => event.target.select()}
            className={`${FIELD} h-9 min-w-0 flex-1 bg-sunken font-mono text-[12.5px]`}
          />
          <CopyButton value={value} label={copyLabel} copiedLabel={copiedLabel} />
        </div>
      )}
    </Tie>
  )
}

/** For how long a button says that it has copied, in milliseconds. */
const COPIED_MS = 2000

export function CopyButton({ value, label, copiedLabel }: { value: string; label: string; copiedLabel: string }) {
  const [copied, setCopied] = useState(false)
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value)
    } catch {
      return
    }
    setCopied(true)
    setTimeout(() => setCopied(false), COPIED_MS)
  }
  return (
    <button type="button" className={buttonClass('plain', 'h-9')} onClick={() => void copy()}>
      {copied ? <Check size={14} aria-hidden className="text-brand" /> : <Copy size={14} aria-hidden />}
      <span aria-live="polite">{copied ? copiedLabel : label}</span>
    </button>
  )
}
