/** This browser's local storage, where it is allowed; what cannot be kept is kept as long as the tab. */

export function stored(name: string): string | null {
  try {
    return localStorage.getItem(name)
  } catch {
    return null
  }
}

export function store(name: string, text: string | undefined): void {
  try {
    if (text === undefined) localStorage.removeItem(name)
    else localStorage.setItem(name, text)
  } catch {
    // Storage is full or forbidden.
  }
}

/** What `store` kept as JSON; `otherwise` if there is nothing that can be read. */
export function storedJson<T>(name: string, otherwise: T): T {
  const text = stored(name)
  if (text === null) return otherwise
  try {
    return JSON.parse(text) as T
  } catch {
    return otherwise
  }
}
