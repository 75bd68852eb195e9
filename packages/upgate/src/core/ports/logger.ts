/** Where warnings go. Messages never contain a secret. */
export interface Logger {
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}
