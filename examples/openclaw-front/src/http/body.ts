import type { IncomingMessage } from 'node:http'

/** Longest body of the front's own paths, in bytes. */
const longest = 16 * 1024

/** Reads a JSON object or a form; `undefined` for everything else, and for a body that is too long. */
export async function readBody(request: IncomingMessage): Promise<ReadonlyMap<string, string> | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > longest) return undefined
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  if (type === 'application/x-www-form-urlencoded') return fieldsOf([...new URLSearchParams(text)])
  if (text === '') return new Map()
  if (type !== 'application/json') return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return fieldsOf(Object.entries(value))
  } catch {
    return undefined
  }
}

/** The fields that are strings; a repeated one counts as absent. */
function fieldsOf(entries: readonly (readonly [string, unknown])[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  const seen = new Set<string>()
  for (const [name, value] of entries) {
    if (seen.has(name)) fields.delete(name)
    else if (typeof value === 'string') fields.set(name, value)
    seen.add(name)
  }
  return fields
}
