/** Elements, made of their names, attributes and children. Texts are texts: nothing is ever read as HTML. */

type Child = Node | string | undefined | false

export function h<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Record<string, string | boolean | undefined> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'string') element.setAttribute(key, value)
    else if (value) element.setAttribute(key, '')
  }
  for (const child of children) if (child) element.append(child)
  return element
}

/** Addresses in a text; punctuation at their end belongs to the sentence. */
const ADDRESS = /\bhttps?:\/\/[^\s<>"']+[^\s<>"'.,;:!?()[\]{}،؛؟]/g

/** A text with its addresses as links, each of which opens a tab of its own. */
export function linked(text: string): (Node | string)[] {
  const parts: (Node | string)[] = []
  let end = 0
  for (const found of text.matchAll(ADDRESS)) {
    parts.push(text.slice(end, found.index))
    parts.push(h('a', { href: found[0], target: '_blank', rel: 'noopener noreferrer nofollow', dir: 'ltr' }, found[0]))
    end = found.index + found[0].length
  }
  parts.push(text.slice(end))
  return parts
}

/** Puts these nodes into a list in this order, without touching those that stand right: they are not read out again. */
export function arrange(list: Element, nodes: readonly Node[]): void {
  const wanted = new Set<Node>(nodes)
  for (const child of [...list.childNodes]) if (!wanted.has(child)) child.remove()
  nodes.forEach((node, at) => {
    const there = list.childNodes[at]
    if (there !== node) list.insertBefore(node, there ?? null)
  })
}
