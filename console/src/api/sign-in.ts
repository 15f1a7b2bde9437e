/** Signing in, and from one workspace to another. The refresh token comes as a cookie. */
import { failure, problemOf } from './client'
import { signedIn } from './session'
import { ask } from './soon'
import type { Tokens } from './types'

export async function signIn(email: string, password: string): Promise<Tokens> {
  let answer: Response
  try {
    answer = await fetch('/api/v1/auth/sign-in', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ email, password, cookie: true }),
    })
  } catch (error) {
    throw failure(error)
  }
  const json = await answer.json().catch(() => undefined)
  // A refusal here says nothing of an earlier sign-in.
  if (!answer.ok) throw await problemOf(answer.status, json, false)
  return json as Tokens
}

/** Takes the person to another of their workspaces; the sign-in that they had ends. */
export async function switchWorkspace(workspace_id: string, with_token?: string): Promise<void> {
  signedIn(await ask<Tokens>('POST', '/auth/switch', { workspace_id }, {}, with_token))
}
