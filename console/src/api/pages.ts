/** Lists of many pages, asked for whole. */

/** The most pages of a list that are asked for. */
const PAGES = 20

export interface Paged<T> {
  items: T[]
  next_cursor?: string | null
}

export async function pages<T>(page: (cursor: string | undefined) => Promise<Paged<T>>): Promise<T[]> {
  const all: T[] = []
  let cursor: string | undefined
  for (let asked = 0; asked < PAGES; asked += 1) {
    const one = await page(cursor)
    all.push(...one.items)
    if (!one.next_cursor) break
    cursor = one.next_cursor
  }
  return all
}

export const paging = (cursor: string | undefined) => ({
  params: { query: { limit: 100, ...(cursor ? { cursor } : {}) } },
})
