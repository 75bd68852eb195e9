/**
 * Whether something of the machine is there, for `describe.skipIf`.
 *
 * @throws Error when it is not although its variable is set, as the CI run does: nothing is skipped there
 */
export function needs(what: string, available: boolean, variable: string): boolean {
  const required = process.env[variable] ?? ''
  if (!available && required !== '' && required !== '0') {
    throw new Error(`${what} is not installed, and ${variable} is set.`)
  }
  return available
}
