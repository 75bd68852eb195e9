import { StoreUnavailable } from 'upgate/store'

/** The connection that a user set, as it is stored. */
export interface RemoteRecord {
  /** New for each setting. */
  readonly id: string
  readonly url: string
  /** Name of the user. */
  readonly setBy: string
  /** Milliseconds since the epoch. */
  readonly setAt: number
  /** Sealed texts by field; {@link Vault} opens them. */
  readonly sealed: Readonly<Record<string, string>>
}

/** The stored connection, and the instance that keeps it. */
export interface Claim {
  readonly record: RemoteRecord
  /** Whether this instance is the one that connects. */
  readonly mine: boolean
  /** What the instance that connects reported last, as JSON; unknown for the own one. */
  readonly report: string | undefined
}

/** The place of the one record. Methods reject if the database does not answer. */
export interface RemoteRecords {
  /** Whether several instances use it: then each has to claim the record again and again. */
  readonly shared: boolean
  /** Reads the record; claims it, unless another instance has; leaves the own report, if it has one for this record. */
  claim(report: { readonly record: string; readonly text: string } | undefined): Promise<Claim | undefined>
  /** Puts this record in the place of any other. */
  write(record: RemoteRecord): Promise<void>
  /** Replaces a record that has the same id; another one was set in the meantime otherwise, and stays. */
  update(record: RemoteRecord): Promise<void>
  remove(): Promise<void>
  /** Lets another instance claim it at once. */
  close(): Promise<void>
}

/** The stored text is no record. */
export class RecordError extends Error {
  override readonly name = 'RecordError'
}

/** Reads a stored record. @throws {RecordError} */
export function parseRecord(text: string): RemoteRecord {
  try {
    const value = JSON.parse(text) as RemoteRecord
    const fits =
      typeof value.id === 'string' &&
      URL.canParse(value.url) &&
      typeof value.setBy === 'string' &&
      Number.isFinite(value.setAt) &&
      Object.values(value.sealed).every((each) => typeof each === 'string')
    if (fits) return value
  } catch {
    // The error below covers this case.
  }
  throw new RecordError('The stored connection to the other gateway cannot be read.')
}

/** A database that does not answer is no fault of the request. */
export function orUnavailable(records: RemoteRecords): RemoteRecords {
  const wrapped =
    <Args extends unknown[], T>(method: (...args: Args) => Promise<T>) =>
    (...args: Args): Promise<T> =>
      method(...args).catch((error: unknown) => {
        if (error instanceof RecordError) throw error
        throw new StoreUnavailable('store_unavailable', `The database did not answer: ${String(error)}`)
      })
  return {
    shared: records.shared,
    claim: wrapped(records.claim),
    write: wrapped(records.write),
    update: wrapped(records.update),
    remove: wrapped(records.remove),
    close: records.close,
  }
}
