/** The files of a message: images, sounds and films where they stand, others to be opened. Loaded with the first of them. */
import { useQuery } from '@tanstack/react-query'
import { ExternalLink, FileText, Film, Image, Mic } from 'lucide-react'
import { useState } from 'react'
import { client, of } from '../../api/client'
import type { Attachment, Message } from '../../api/types'
import { keyOf } from '../../data/ask'
import { t } from '../../i18n'

/** A link of the hub is good for an hour. */
const FRESH_MS = 50 * 60_000
const KINDS = { image: Image, video: Film, audio: Mic } as const
/** What the hub serves to be shown in place. */
const SHOWN = /^(image\/(png|jpeg|gif|webp|avif)|audio\/|video\/)/

/** Where a file can be fetched now; the hub fetches from the provider what stands there. */
function useLink(message: Message, index: number, wanted: boolean) {
  const path = { conversation_id: message.conversation_id, seq: message.seq, index }
  return useQuery({
    queryKey: keyOf('file', path),
    queryFn: () =>
      of(
        client.GET('/api/v1/conversations/{conversation_id}/messages/{seq}/attachments/{index}', { params: { path } }),
      ),
    enabled: wanted,
    staleTime: FRESH_MS,
    refetchInterval: false,
    retry: 1,
  })
}

export default function Files({ message }: { message: Message }) {
  return message.body.attachments?.map((file, index) => (
    <File key={`${index} ${file.url}`} message={message} file={file} index={index} />
  ))
}

function File({ message, file, index }: { message: Message; file: Attachment; index: number }) {
  const [broken, setBroken] = useState(false)
  const link = useLink(message, index, true).data?.url
  const name = file.name ?? file.content_type
  const label = t('thread.attachment', { name })
  if (link && !broken && SHOWN.test(file.content_type)) {
    const failed = () => setBroken(true)
    const kind = file.content_type.split('/')[0]
    if (kind === 'image') {
      return (
        <a href={link} target="_blank" rel="noreferrer noopener" aria-label={label} className="my-0.5 block">
          {/* The height is there before the image is, so that nothing jumps. */}
          <img
            src={link}
            alt={name}
            loading="lazy"
            onError={failed}
            className="h-48 max-w-full rounded-lg bg-sunken object-contain"
          />
        </a>
      )
    }
    if (kind === 'audio') {
      return (
        // biome-ignore lint/a11y/useMediaCaption: what customers record has no captions
        <audio
          controls
          preload="none"
          src={link}
          onError={failed}
          aria-label={label}
          className="my-0.5 h-10 w-64 max-w-full"
        />
      )
    }
    return (
      // biome-ignore lint/a11y/useMediaCaption: what customers record has no captions
      <video
        controls
        preload="none"
        src={link}
        onError={failed}
        aria-label={label}
        className="my-0.5 h-48 max-w-full rounded-lg bg-black"
      />
    )
  }
  const href = link ?? (/^https?:\/\//.test(file.url) ? file.url : undefined)
  return <Card file={file} name={name} label={label} href={href} />
}

function Card({
  file,
  name,
  label,
  href,
}: {
  file: Attachment
  name: string
  label: string
  href: string | undefined
}) {
  const Icon = KINDS[file.content_type.split('/')[0] as keyof typeof KINDS] ?? FileText
  const card = 'my-0.5 flex items-center gap-2.5 rounded-lg bg-sunken px-2.5 py-2'
  const content = (
    <>
      <Icon size={18} aria-hidden className="shrink-0 text-soft" />
      <span className="min-w-0 flex-1">
        <bdi className="block truncate">{name}</bdi>
        {file.name && <span className="block truncate text-[11px] text-soft">{file.content_type}</span>}
      </span>
    </>
  )
  if (!href) return <p className={card}>{content}</p>
  return (
    <a href={href} target="_blank" rel="noreferrer noopener" aria-label={label} className={`${card} hover:bg-hover`}>
      {content}
      <ExternalLink size={14} aria-hidden className="shrink-0 text-soft rtl:-scale-x-100" />
    </a>
  )
}
