/** The hub's API, typed from its OpenAPI document. Every answer that is no success is thrown as a `Failure`. */
import createClient, { type Middleware } from 'openapi-fetch'
import type { paths } from './schema'
import { accessToken } from './session'
import type { Problem } from './types'

export type FailureCode = Problem['code'] | 'unreachable'

export class Failure extends Error {
  constructor(
    readonly code: FailureCode,
    message: string,
    readonly requestId?: string,
    /** Which fields of the request are wrong, and how. */
    readonly fields: readonly { path: string; message: string }[] = [],
  ) {
    super(message)
  }

  /** The same request, with the same key, may succeed later. */
  get temporary(): boolean {
    return ['unreachable', 'unavailable', 'outcome_unknown', 'rate_limited', 'internal'].includes(this.code)
  }
}

export function failure(error: unknown): Failure {
  return error instanceof Failure ? error : new Failure('unreachable', String(error))
}

const bearer: Middleware = {
  async onRequest({ request, schemaPath }) {
    if (schemaPath === '/api/v1/auth/sign-in' || request.headers.has('Authorization')) return request
    const token = await accessToken()
    if (token === undefined) throw new Failure('unauthenticated', 'the sign-in has ended')
    request.headers.set('Authorization', `Bearer ${token}`)
    return request
  },
}

export const client = createClient<paths>({
  baseUrl: typeof location === 'undefined' ? 'http://localhost' : location.origin,
})
client.use(bearer)

interface Answer<T> {
  data?: T
  error?: unknown
  response: Response
}

/** What an answer holds; throws a `Failure` for anything else. */
export async function of<T>(asked: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>
  try {
    answer = await asked
  } catch (error) {
    throw failure(error)
  }
  if (answer.response.ok) return answer.data as T
  throw await problemOf(answer.response.status, answer.error)
}

/** What an answer that is no success says; a refused token is renewed for the next request. */
export async function problemOf(status: number, error: unknown, renew = true): Promise<Failure> {
  if (status === 401 && renew) await accessToken(true).catch(() => undefined)
  const problem = error as Partial<Problem> | undefined
  return new Failure(
    problem?.code ?? (status >= 500 ? 'unavailable' : status === 404 ? 'not_found' : 'internal'),
    problem?.detail ?? `HTTP ${status}`,
    problem?.request_id,
    problem?.errors,
  )
}
