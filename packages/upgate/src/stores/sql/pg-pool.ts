/** The part in use of a pool of the package `pg`. Other stores must not need the types of that package. */
export interface PgPool {
  connect(): Promise<PgClient>
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'connect', listener: (client: Pick<PgClient, 'on'>) => void): unknown
  off(event: 'error', listener: (error: Error) => void): unknown
  off(event: 'connect', listener: (client: Pick<PgClient, 'on'>) => void): unknown
  end(): Promise<void>
}

/** A statement. With a name, the connection prepares it once and keeps it. */
export interface PgQuery {
  readonly name?: string | undefined
  readonly text: string
  readonly values: unknown[]
}

/** A connection of such a pool. */
export interface PgClient {
  query(query: PgQuery): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  off(event: 'error', listener: (error: Error) => void): unknown
  release(error?: Error): void
}
