/**
 * Loads an optional peer dependency, or names the function that needs it and how to install it.
 *
 * @param who - the function that needs it
 * @param install - the packages to install, for the message
 * @throws TypeError when it cannot be loaded
 */
export async function peer<T>(
  who: string,
  name: string,
  install: string,
  load: () => Promise<T>,
): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    throw new TypeError(
      `${who} needs the package \`${name}\`, which cannot be loaded. Install it: npm install ${install}`,
      { cause },
    )
  }
}
