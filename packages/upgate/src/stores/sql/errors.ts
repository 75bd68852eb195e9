import { isStoreUnavailable, type StoreErrorCode, StoreUnavailable } from '../../core/ports/stores.ts'

const codes: readonly (readonly [RegExp, StoreErrorCode, string])[] = [
  [/BUSY|LOCKED|^(55P03|40001|40P01)$/, 'store_busy', 'The database is locked by another connection.'],
  [
    /FULL|IOERR_WRITE|IOERR_SHMSIZE|IOERR_TRUNCATE|ENOSPC|^53100$/,
    'store_full',
    'The database cannot be written: the disk is full.',
  ],
  [/CORRUPT|NOTADB|^XX00[12]$/, 'store_corrupt', 'The file is damaged, or no database.'],
  [/^57014$/, 'store_unavailable', 'The database did not answer in time.'],
  [/^(25006|53[23]00)$/, 'store_unavailable', 'The database takes no writes, or no connections, now.'],
  [
    /^(28...|3D000|3F000|42501)$/,
    'store_unavailable',
    'The database refuses this user, or there is none of that name.',
  ],
]

/** Whether an operation had no effect because another connection was writing: a retry may succeed soon. */
export function isBusy(error: unknown): boolean {
  return /^(SQLITE_(BUSY|LOCKED)|40001$|40P01$)/.test(codeOf(error))
}

/** Whether a prepared statement is not where it was prepared, or is there already: a pooler switched connections. */
export function isStatementLost(error: unknown): boolean {
  return /^(26000|42P05)$/.test(codeOf(error))
}

/**
 * Wraps any error of a driver in `StoreUnavailable`. The driver's text may hold values, so it stays in the
 * cause.
 */
export function toStoreUnavailable(error: unknown): StoreUnavailable {
  if (isStoreUnavailable(error)) return error
  const code = codeOf(error)
  const known = codes.find(([pattern]) => pattern.test(code))
  if (known !== undefined) return new StoreUnavailable(known[1], known[2], { cause: error })
  return new StoreUnavailable('store_unavailable', 'The database cannot answer.', { cause: error })
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}
