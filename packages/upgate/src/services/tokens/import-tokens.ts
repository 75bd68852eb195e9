import { assertKnownOptions, wrongOption } from '../../core/options/check-options.ts'
import { count } from '../../core/options/option-kinds.ts'
import type { AccountStore, TokenStore } from '../../core/ports/stores.ts'
import type { TokenRecord } from '../../core/ports/token-record.ts'
import { isId } from '../../crypto/tokens.ts'
import { checkName, checkNames } from '../record-input.ts'

/** The record of a token that exists already. `version` begins again. */
export type ImportedToken = Omit<TokenRecord, 'version'>

/** Options of an import. */
export interface ImportOptions {
  /** Stops the import before its next slice; the import then rejects with the reason. */
  readonly signal?: AbortSignal | undefined
  /** Called after each slice, when its records are durable. */
  readonly onProgress?: ((progress: ImportProgress) => void) | undefined
  /** Records written at once, 1 to 1,000: other operations wait for a slice at most. Default: 500. */
  readonly slice?: number | undefined
}

/** How far an import is. */
export interface ImportProgress {
  /** Records read, all of which are in the store now. */
  readonly read: number
  /** Of them, records that were added. */
  readonly added: number
  /** Of them, records whose id was there already: they stay as they were. */
  readonly present: number
}

const size = count(500, 1, 1000)
const digest = /^[A-Za-z0-9_-]{43}$/

/**
 * Imports records in slices.
 *
 * @param where - name of the method, for messages
 * @param oneRole - whether each record has exactly one role, as a device has
 */
export async function importTokens(
  where: string,
  oneRole: boolean,
  { tokens, accounts }: { readonly tokens: TokenStore; readonly accounts: AccountStore },
  records: Iterable<ImportedToken> | AsyncIterable<ImportedToken>,
  options: ImportOptions,
): Promise<ImportProgress> {
  assertKnownOptions(where, options, ['signal', 'onProgress', 'slice'])
  const { signal, onProgress } = options
  const most = size.read(where, 'slice', options.slice ?? 500)
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw wrongOption(where, 'onProgress', 'a function', onProgress)
  }
  const isIterable =
    typeof records === 'object' && (Symbol.iterator in records || Symbol.asyncIterator in records)
  if (!isIterable) throw wrongOption(where, 'records', 'an array or another iterable of records', records)
  let progress: ImportProgress = { read: 0, added: 0, present: 0 }
  let slice: TokenRecord[] = []

  async function write(): Promise<void> {
    // An embedded store runs in this thread: let other work run between two slices.
    await new Promise((resolve) => setImmediate(resolve))
    signal?.throwIfAborted()
    const { length } = slice
    const first = progress.read
    await assertAccounts(slice, first)
    const added = await addAll(tokens, slice)
    slice = []
    progress = {
      read: first + length,
      added: progress.added + added,
      present: progress.present + length - added,
    }
    onProgress?.(progress)
  }

  /** A record of an unknown account would count for nobody, or let a database refuse the whole slice. */
  async function assertAccounts(some: readonly TokenRecord[], first: number): Promise<void> {
    const known = new Set<string>()
    for (const [i, { accountId, id }] of some.entries()) {
      if (accountId === undefined || known.has(accountId)) continue
      if ((await accounts.get(accountId)) === undefined) {
        throw new TypeError(
          `${where}: record ${first + i + 1} (${id}): \`accountId\` must be the id of an account`,
        )
      }
      known.add(accountId)
    }
  }

  signal?.throwIfAborted()
  for await (const record of records) {
    slice.push(checked(record, `${where}: record ${progress.read + slice.length + 1}`, oneRole))
    if (slice.length === most) await write()
  }
  if (slice.length > 0) await write()
  return progress
}

async function addAll(tokens: TokenStore, records: readonly TokenRecord[]): Promise<number> {
  if (tokens.addAll !== undefined) return tokens.addAll(records)
  let added = 0
  for (const record of records) if (await tokens.add(record)) added++
  return added
}

/** Reads a record of unknown origin. Messages hold no digest. */
function checked(record: ImportedToken, where: string, oneRole: boolean): TokenRecord {
  const fail = (field: string, expected: string): never => {
    throw new TypeError(`${place}: \`${field}\` must be ${expected}`)
  }
  let place = where
  if (typeof record !== 'object' || record === null) throw new TypeError(`${where} must be an object`)
  if (typeof record.id !== 'string' || !isId(record.id)) fail('id', '12 letters and digits, as in the token')
  place = `${where} (${record.id})`
  const digestOf = (field: 'digest' | 'handedDigest' | 'previousDigest' | 'previousHandedDigest') => {
    const value = record[field] ?? undefined
    if (value === undefined && field !== 'digest') return undefined
    return typeof value === 'string' && digest.test(value)
      ? value
      : fail(field, 'a SHA-256 in base64url, 43 characters')
  }
  const time = (field: 'createdAt' | 'previousUntil' | 'expiresAt' | 'lastUsedAt' | 'revokedAt') => {
    const value = record[field] ?? undefined
    if (value === undefined && field !== 'createdAt') return undefined
    return Number.isSafeInteger(value) && (value as number) >= 0
      ? (value as number)
      : fail(field, 'milliseconds since the epoch')
  }
  const reference = (field: 'accountId' | 'createdBy') => {
    const value = record[field] ?? undefined
    if (value === undefined) return undefined
    return typeof value === 'string' && value !== '' && value.length <= 200
      ? value
      : fail(field, 'an id, at most 200 characters')
  }
  const { roles } = record
  if (oneRole && !(Array.isArray(roles) && roles.length === 1)) fail('roles', 'a list of exactly one role')
  return {
    id: record.id,
    version: 1,
    digest: digestOf('digest') as string,
    handedDigest: digestOf('handedDigest'),
    previousDigest: digestOf('previousDigest'),
    previousHandedDigest: digestOf('previousHandedDigest'),
    previousUntil: time('previousUntil'),
    name: inPlace(place, () => checkName(record.name)),
    scopes: inPlace(place, () => checkNames('scopes', record.scopes)),
    roles: inPlace(place, () => checkNames('roles', roles)),
    accountId: reference('accountId'),
    createdBy: reference('createdBy'),
    createdAt: time('createdAt') as number,
    expiresAt: time('expiresAt'),
    lastUsedAt: time('lastUsedAt'),
    revokedAt: time('revokedAt'),
  }
}

function inPlace<T>(place: string, check: () => T): T {
  try {
    return check()
  } catch (error) {
    throw new TypeError(`${place}: ${(error as Error).message}`)
  }
}
