import type { Request } from 'express'
import { ProblemError } from './problem.ts'

/** Longest body the API reads, in bytes. */
export const bodyLimit: number = 16 * 1024

/** A body that the API cannot use; `detail` never quotes the body. */
export function badBody(detail: string): ProblemError {
  return new ProblemError({
    status: 400,
    code: 'invalid_body',
    detail,
    action: 'Send a JSON object with the fields that the documentation lists.',
  })
}

/** The body as an object. */
export function objectOf(request: Request): Readonly<Record<string, unknown>> {
  if (!request.is('application/json')) {
    throw new ProblemError({
      status: 415,
      code: 'unsupported_media_type',
      detail: 'The body is not declared as JSON.',
      action: 'Send JSON with the header Content-Type: application/json.',
    })
  }
  const body: unknown = request.body
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw badBody('The body is not a JSON object.')
  }
  return body as Readonly<Record<string, unknown>>
}

/** A field that is a string of at most `maximum` characters. */
export function stringOf(body: Readonly<Record<string, unknown>>, field: string, maximum: number): string {
  const value = Object.hasOwn(body, field) ? body[field] : undefined
  if (typeof value !== 'string') throw badBody(`"${field}" must be a string.`)
  if (value.length > maximum) throw badBody(`"${field}" is longer than ${maximum} characters.`)
  return value
}

/** Reads a name for display: trimmed, 1 to 64 characters, on one line. */
export function nameOf(body: Readonly<Record<string, unknown>>): string {
  const name = stringOf(body, 'name', 256).trim()
  if (name === '') throw badBody('"name" is empty.')
  if ([...name].length > 64) throw badBody('"name" is longer than 64 characters.')
  // Control and direction characters could make one name look like another.
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(name))
    throw badBody('"name" holds characters that cannot be shown.')
  return name
}

/** A field that is a list of at most `maximum` short strings, each once. */
export function listOf(
  body: Readonly<Record<string, unknown>>,
  field: string,
  maximum: number,
): readonly string[] {
  const value = Object.hasOwn(body, field) ? body[field] : undefined
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === 'string')) {
    throw badBody(`"${field}" must be a list of strings.`)
  }
  if (value.length > maximum) throw badBody(`"${field}" has more than ${maximum} entries.`)
  return [...new Set(value as readonly string[])]
}
