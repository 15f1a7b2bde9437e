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
    if (schemaPath === '/api/v1/auth/sign-in') return request
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
  if (answer.response.status === 401) await accessToken(true).catch(() => undefined)
  const problem = answer.error as Partial<Problem> | undefined
  throw new Failure(
    problem?.code ?? (answer.response.status >= 500 ? 'unavailable' : 'internal'),
    problem?.detail ?? `HTTP ${answer.response.status}`,
    problem?.request_id,
  )
}
