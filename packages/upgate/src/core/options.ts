/** Throws a `TypeError` that names the first option nobody knows, with the ones that exist. */
export function assertKnownOptions(where: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(`${where}: unknown option \`${name}\`. Known options: ${known.join(', ')}.`)
    }
  }
}
