import { UsageError } from './io.ts'

/** Reads a number of seconds. */
export function seconds(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most))
    throw new UsageError(`${option} must be a whole number of seconds from ${least} to ${most}.`)
  return value
}

/** The message of `parseArgs` without the values of arguments: one may be a secret in the wrong place. */
export function usageMessage(error: unknown): string {
  const { code = '', message = '' } = error as NodeJS.ErrnoException
  const option = /'(-{1,2}[\w-]{1,40})/.exec(message)?.[1]
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION')
    return `Unknown option ${option ?? ''}. Secrets come from files or the environment, see --help.`
  return `Wrong usage${option === undefined ? '' : ` of ${option}`}; see --help.`
}
