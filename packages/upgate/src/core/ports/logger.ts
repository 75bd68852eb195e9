/**
 * Where warnings go. Messages never contain a secret.
 *
 * @example
 * const logger: Logger = {
 *   warn: (message, fields) => log.warn(fields ?? {}, message),
 *   error: (message, fields) => log.error(fields ?? {}, message),
 * }
 */
export interface Logger {
  /**
   * Reports something that works, and that the operator should look at.
   *
   * @param message - one sentence
   * @param fields - facts, such as `error`
   */
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  /**
   * Reports a failure: something does not work until the operator acts.
   *
   * @param message - one sentence
   * @param fields - facts, such as `error`
   */
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}
