/** Where warnings go. Messages never contain a secret. */
export interface Logger {
  /** Reports something that works, and that the operator should look at. */
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  /** Reports a failure: something does not work until the operator acts. */
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}
