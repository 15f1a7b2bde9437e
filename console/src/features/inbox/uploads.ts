/** Files on their way to the hub, before the message that will carry them. */
import { useCallback, useEffect, useRef, useState } from 'react'
import { Failure, type FailureCode } from '../../api/client'
import type { components } from '../../api/schema'
import { accessToken } from '../../api/session'
import type { Problem } from '../../api/types'

export type UploadedFile = components['schemas']['UploadedFile']

export interface Upload {
  key: number
  name: string
  /** How much of it the hub has, 0 to 1. */
  share: number
  file?: UploadedFile
  error?: FailureCode
}

/** The most files of a message, as the hub has it. */
export const MOST_FILES = 10

/** Sends a file; `fetch` would not tell how far it is. */
function upload(file: File, progress: (share: number) => void, begun: (request: XMLHttpRequest) => void) {
  return accessToken().then(
    (token) =>
      new Promise<UploadedFile>((done, failed) => {
        const request = new XMLHttpRequest()
        begun(request)
        request.open('POST', `/api/v1/files?name=${encodeURIComponent(file.name || 'file')}`)
        request.setRequestHeader('Authorization', `Bearer ${token ?? ''}`)
        request.setRequestHeader('Content-Type', 'application/octet-stream')
        request.responseType = 'json'
        request.upload.onprogress = (event) => progress(event.total > 0 ? event.loaded / event.total : 0)
        request.onerror = () => failed(new Failure('unreachable', 'the hub cannot be reached'))
        request.onload = () => {
          if (request.status === 201) return done(request.response as UploadedFile)
          const problem = request.response as Partial<Problem> | null
          const code = request.status === 413 ? 'too_large' : (problem?.code ?? 'unavailable')
          failed(new Failure(code, problem?.detail ?? `HTTP ${request.status}`))
        }
        request.send(file)
      }),
  )
}

/** The files of one composer. They are given up when it goes. */
export function useUploads() {
  const [uploads, set] = useState<readonly Upload[]>([])
  const next = useRef(1)
  const running = useRef(new Map<number, XMLHttpRequest>())
  useEffect(() => {
    const requests = running.current
    return () => {
      for (const request of requests.values()) request.abort()
    }
  }, [])
  const patch = useCallback((key: number, part: Partial<Upload>) => {
    set((all) => all.map((one) => (one.key === key ? { ...one, ...part } : one)))
  }, [])
  const add = useCallback(
    (files: readonly File[]) => {
      for (const file of files) {
        const key = next.current
        next.current += 1
        set((all) => (all.length < MOST_FILES ? [...all, { key, name: file.name, share: 0 }] : all))
        upload(
          file,
          (share) => patch(key, { share }),
          (request) => running.current.set(key, request),
        )
          .then((taken) => patch(key, { file: taken, share: 1 }))
          .catch((error: unknown) => patch(key, { error: error instanceof Failure ? error.code : 'unreachable' }))
          .finally(() => running.current.delete(key))
      }
    },
    [patch],
  )
  const remove = useCallback((key: number) => {
    running.current.get(key)?.abort()
    set((all) => all.filter((one) => one.key !== key))
  }, [])
  const clear = useCallback(() => set([]), [])
  const taken = uploads.flatMap((one) => (one.file ? [one.file] : []))
  return { uploads, add, remove, clear, taken, busy: uploads.some((one) => !one.file && !one.error) }
}
