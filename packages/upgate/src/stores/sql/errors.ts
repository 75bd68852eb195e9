import { isStoreUnavailable, type StoreErrorCode, StoreUnavailable } from '../../core/ports/stores.ts'

const codes: readonly (readonly [RegExp, StoreErrorCode, string])[] = [
  [/BUSY|LOCKED/, 'store_busy', 'The database is locked by somebody else.'],
  [
    /FULL|IOERR_WRITE|IOERR_SHMSIZE|IOERR_TRUNCATE|ENOSPC/,
    'store_full',
    'The database cannot be written: the disk is full.',
  ],
  [/CORRUPT|NOTADB/, 'store_corrupt', 'The file is damaged, or no database.'],
]

/** Whether nothing happened because somebody else is writing. */
export function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error))
}

/** Whatever a driver throws, as the one error of stores. The driver's text may hold values: it stays the cause. */
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
