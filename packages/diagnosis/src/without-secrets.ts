/** Shorter values would occur by chance. */
const shortest = 4

/** So many characters of the beginning of a secret are enough to remove it: servers cut what they echo. */
const prefix = 8

/**
 * Copies an observation, or any other data, without the values of these secrets: a server may echo a credential in a
 * header, a body, a close reason or a frame. Values are found as they are, percent-encoded and in JSON, without the name
 * of a cookie or scheme in front, and by their first 8 characters where they were cut.
 *
 * {@link diagnose} removes secrets by their form; this function removes known ones. Call it before
 * an observation is kept, logged or sent.
 *
 * @param secrets Values of at least 4 characters; shorter ones are not looked for
 */
export function withoutSecrets<T>(value: T, secrets: Iterable<string | undefined>): T {
  const forms = new Set<string>()
  for (const secret of secrets) {
    if (typeof secret !== 'string' || secret.length < shortest) continue
    for (const each of [secret, ...partsOf(secret)]) {
      forms.add(each)
      forms.add(JSON.stringify(each).slice(1, -1))
      try {
        forms.add(encodeURIComponent(each))
      } catch {
        // Half a surrogate pair has no encoding.
      }
    }
  }
  // The longest first: a secret may contain another one.
  const ordered = [...forms].sort((a, b) => b.length - a.length)
  return ordered.length === 0 ? value : (copy(value, ordered, 0) as T)
}

/** The values of a `Cookie` header, and what follows the scheme in `Authorization`: a server may repeat them alone. */
function partsOf(secret: string): readonly string[] {
  const values = secret
    .split(';')
    .slice(0, 64)
    .map((each) => each.slice(each.indexOf('=') + 1).trim())
  const credential = /^\S+ +(\S.*)$/.exec(secret)?.[1] ?? ''
  return [...values, credential].filter((each) => each.length >= prefix)
}

function copy(value: unknown, forms: readonly string[], depth: number): unknown {
  if (typeof value === 'string') return forms.reduce(without, value)
  // An observation is four levels deep; deeper data comes from elsewhere, and is not worth the stack.
  if (typeof value !== 'object' || value === null) return value
  if (depth > 16) return undefined
  if (Array.isArray(value)) return value.map((each) => copy(each, forms, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [forms.reduce(without, name), copy(each, forms, depth + 1)]),
  )
}

function without(text: string, secret: string): string {
  const head = secret.length > prefix ? secret.slice(0, prefix) : secret
  let found = text.indexOf(head)
  if (found < 0) return text
  let result = ''
  let from = 0
  while (found >= 0) {
    let length = head.length
    while (length < secret.length && text[found + length] === secret[length]) length++
    result += `${text.slice(from, found)}[removed]`
    from = found + length
    found = text.indexOf(head, from)
  }
  return result + text.slice(from)
}
