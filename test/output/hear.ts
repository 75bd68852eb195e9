import type { Plugin } from 'vite'

/** Calls of a logger in the library's sources: `gate.logger.warn(`. */
const logs = /(?<![\w.#])((?:#?\w+\.)*#?logger)\.(warn|error)\(/g

/** Places in the sources that log, tell, or make a secret, and what is put there. */
const marks: Readonly<Record<string, readonly (readonly [from: string, to: string])[]>> = {
  'upgate/src/core/faults/fault-log.ts': [['logger[level](', 'globalThis.upgateHeard(logger, level)(']],
  'upgate/src/core/live/audit-events.ts': [
    ['emit(event) {', 'emit(event) { globalThis.upgateEvent(event);'],
    // Also events that no test listens to.
    ['return listeners.size > 0', 'return true'],
  ],
  'upgate/src/crypto/tokens.ts': [
    [
      'return head + encode(BigInt(crc32(head)), checksumLength)',
      'return globalThis.upgateSecret(head + encode(BigInt(crc32(head)), checksumLength))',
    ],
  ],
  'upgate/src/crypto/password.ts': [
    ['async hash(password) {', 'async hash(password) { globalThis.upgateSecret(password);'],
  ],
  'upgate/src/services/pairing/codes.ts': [
    [
      "return (spell(randomBytes(24), bootstrapLength).match(/.{4}/g) ?? []).join('-')",
      "return globalThis.upgateSecret((spell(randomBytes(24), bootstrapLength).match(/.{4}/g) ?? []).join('-'))",
    ],
  ],
  'client/src/error.ts': [
    ['this.diagnosis = diagnosis', 'this.diagnosis = diagnosis; globalThis.upgateEvent(diagnosis)'],
  ],
  'edge-sim/src/secrets.ts': [['return hex(random, 32)', 'return globalThis.upgateSecret(hex(random, 32))']],
}

/**
 * Lets `record.ts` hear what the library logs, and its events, whichever logger and listener a test brings. Only for runs
 * of the tests that look for secrets in the output.
 */
export function hearTheLibrary(): Plugin {
  return {
    name: 'hear-the-library',
    enforce: 'pre',
    transform(code, id) {
      const [, file] = /packages\/((?:upgate|edge-sim|client)\/src\/.*\.ts)$/.exec(id) ?? []
      if (file === undefined) return undefined
      let heard = code.replace(logs, "globalThis.upgateHeard($1, '$2')(")
      for (const [from, to] of marks[file] ?? []) heard = replaced(heard, from, to)
      return heard === code ? undefined : { code: heard, map: null }
    },
  }
}

/** What is looked for must be there: a check that hears nothing finds nothing. */
function replaced(code: string, from: string, to: string): string {
  if (!code.includes(from))
    throw new Error(`The library has no \`${from}\` any more; see test/output/hear.ts.`)
  return code.replace(from, to)
}
