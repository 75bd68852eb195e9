import { readFileSync } from 'node:fs'
import { type Io, UsageError } from './io.ts'

/** Longest secret, in bytes: longer ones are a wrong file. */
const longest = 16 * 1024

/**
 * Reads a secret from a file, from standard input (`-`), or from an environment variable: arguments are visible to every
 * user of the computer, and stay in the shell's history.
 *
 * @returns `undefined` if neither is given
 * @throws UsageError that names the option and never the content
 */
export async function readSecret(
  io: Io,
  { option, file, variable }: { option: string; file: string | undefined; variable: string },
): Promise<string | undefined> {
  if (file === undefined) {
    const value = io.env[variable]
    return value === undefined || value === '' ? undefined : checked(value, variable)
  }
  if (file === '-') return checked(await readAll(io.stdin), `${option} -`)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const { code = 'an error' } = error as NodeJS.ErrnoException
    throw new UsageError(`${option}: the file cannot be read (${code}).`)
  }
  return checked(text, option)
}

function checked(text: string, place: string): string {
  const value = text.trim()
  if (value === '') throw new UsageError(`${place} is empty.`)
  if (value.length > longest)
    throw new UsageError(`${place} has more than ${longest} bytes; it is no secret.`)
  // RFC 9110 section 5.5: no other characters are allowed in a header.
  if (!/^[\x20-\x7e]+$/.test(value)) throw new UsageError(`${place} must be one line of printable ASCII.`)
  return value
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const chunk of stream) {
    text += String(chunk)
    if (text.length > longest) break
  }
  return text
}
