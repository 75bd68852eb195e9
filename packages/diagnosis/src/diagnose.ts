import type { Diagnosis } from './diagnosis.ts'
import { evidenceOf } from './evidence.ts'
import type { Observation } from './observation.ts'
import { see, waitOf } from './seen.ts'
import { rows } from './table.ts'

/** Options of {@link diagnose}. */
export interface DiagnoseOptions {
  /**
   * Where the pages are, with a slash at the end: `link` becomes `<docs><code>.md`. Default: `docs/diagnosis/`, the
   * folder in Upgate's repository.
   */
  readonly docs?: string
}

/**
 * Names the layer that ended an attempt to connect, the cause and the next step.
 *
 * It does no I/O, keeps no state, and never throws for what an observation contains: everything in it is taken for
 * hostile. The evidence is cut, free of control characters and HTML, and without query strings and secrets. The first
 * row of the table that matches decides; an observation that no row knows is `unknown`.
 *
 * @throws TypeError if the observation is no object, or an option is unknown
 * @example
 * import { diagnose } from '@upgate/diagnosis'
 *
 * const { code, layer, action } = diagnose({
 *   url: 'wss://gateway.example.com/ws',
 *   response: { status: 530, body: 'error code: 1033', headers: { server: 'cloudflare' } },
 * })
 * console.log(layer, code, action) // tunnel tunnel_down Start cloudflared, ...
 */
export function diagnose(observation: Observation, options: DiagnoseOptions = {}): Diagnosis {
  if (typeof observation !== 'object' || observation === null) {
    throw new TypeError(
      'diagnose: the observation must be an object, such as { url, error } or { url, response }.',
    )
  }
  for (const name of Object.keys(options)) {
    if (name !== 'docs') throw new TypeError(`diagnose: unknown option \`${name}\`; there is only \`docs\`.`)
  }
  const { docs = 'docs/diagnosis/' } = options
  if (typeof docs !== 'string' || (docs !== '' && !docs.endsWith('/'))) {
    throw new TypeError('diagnose: `docs` must be the place of the pages, with a slash at the end.')
  }
  const seen = see(observation)
  const row = rows.find(({ matches }) => matches(seen)) ?? (rows.at(-1) as (typeof rows)[number])
  const { code, layer, severity, title, cause, action, retry, confusableWith } = row
  return {
    code,
    layer,
    severity,
    title,
    evidence: evidenceOf(seen),
    cause,
    action,
    link: `${docs}${code}.md`,
    retry,
    retryAfter: retry === 'never' ? undefined : waitOf(seen),
    confusableWith,
  }
}
