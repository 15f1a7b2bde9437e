/** Signing in, and from one workspace to another. The refresh token comes as a cookie. */
import { client, failure, of, problemOf } from './client'
import { signedIn } from './session'
import type { Tokens } from './types'

export async function signIn(email: string, password: string): Promise<Tokens> {
  const body = { email, password, cookie: true }
  const answer = await client.POST('/api/v1/auth/sign-in', { body }).catch((error) => {
    throw failure(error)
  })
  if (answer.data) return answer.data
  // A refusal here says nothing of an earlier sign-in.
  throw await problemOf(answer.response.status, answer.error, false)
}

/** Takes the person to another of their workspaces; the sign-in that they had, whose token may be given, ends. */
export async function switchWorkspace(workspace_id: string, token?: string): Promise<void> {
  const headers = token ? { Authorization: `Bearer ${token}` } : {}
  signedIn(await of(client.POST('/api/v1/auth/switch', { body: { workspace_id }, headers })))
}
