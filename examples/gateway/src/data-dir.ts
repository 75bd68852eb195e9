import { accessSync, constants, lstatSync, mkdirSync, readlinkSync, type Stats } from 'node:fs'
import { join, parse, resolve, sep } from 'node:path'
import { ConfigError } from './config.ts'

/** The database, and what SQLite keeps with it. */
const databaseFiles = ['gateway.db', 'gateway.db-wal', 'gateway.db-shm', 'gateway.db-journal']

/** Symbolic links followed on the way to the folder, as Linux does. */
const mostLinks = 40

export interface DataDirOptions {
  /** Id of the user that runs the gateway; `undefined` on Windows, which has neither ids nor modes. */
  readonly user: number | undefined
  /** Takes a sentence about what is allowed, and safe only if the operator means it. */
  warn(sentence: string): void
}

/**
 * Makes the data folder, readable by its owner only, and finds out whether it can be used.
 *
 * An account that can write the folder can put a database of its own in place of the gateway's, and is an admin then.
 * So the folder is refused where every account of the machine can do that, at the folder itself or at a parent that
 * lets them exchange it. A group that may write, or an owner other than the gateway's user, may be meant (a volume of a
 * container): that is a warning.
 *
 * @throws {ConfigError} when the folder cannot be used, or must not be
 */
export function prepareDataDir(path: string, options: DataDirOptions): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ConfigError(
      `DATA_DIR ${JSON.stringify(path)} cannot be used (${code ?? 'unknown error'}): give a folder that this user may create or write.`,
    )
  }
  const { user } = options
  const real = user === undefined ? path : checkWay(path, { ...options, user })
  for (const file of databaseFiles) checkFile(join(real, file), options)
}

type Checked = DataDirOptions & { readonly user: number }

/** Goes to the folder as the system does, link by link, and checks each folder on the way. Returns where it is. */
function checkWay(path: string, options: Checked): string {
  let way = parse(path).root
  const ahead = partsOf(path)
  let links = 0
  for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
    checkParent(way, options)
    const next = join(way, name)
    const stats = lstatSync(next)
    if (!stats.isSymbolicLink()) {
      way = next
      continue
    }
    links += 1
    if (links > mostLinks) throw new ConfigError(`DATA_DIR ${JSON.stringify(path)} has too many links.`)
    // Elsewhere only those put a link who can write the folder, and that was checked.
    if (othersMayWrite(lstatSync(way)) && isForeign(stats, options)) {
      throw new ConfigError(
        `${JSON.stringify(next)}, on the way to DATA_DIR, is a symbolic link of another user (${stats.uid}), who can point it elsewhere: give the path without the link.`,
      )
    }
    const target = resolve(way, readlinkSync(next))
    way = parse(target).root
    ahead.unshift(...partsOf(target))
  }
  checkFolder(way, options)
  return way
}

function partsOf(path: string): string[] {
  return path.slice(parse(path).root.length).split(sep).filter(Boolean)
}

function checkParent(folder: string, options: Checked): void {
  const stats = lstatSync(folder)
  // In a sticky folder, such as /tmp, only the owner of an entry may exchange it.
  if (othersMayWrite(stats) && (stats.mode & 0o1000) === 0) {
    throw new ConfigError(
      `${JSON.stringify(folder)}, a parent of DATA_DIR, can be written by every user of this machine, who can exchange the database. Run: chmod o-w ${JSON.stringify(folder)}, or give another folder.`,
    )
  }
  if (isForeign(stats, options)) {
    options.warn(
      `${JSON.stringify(folder)}, a parent of DATA_DIR, belongs to another user (${stats.uid}), who can exchange the database.`,
    )
  }
}

function checkFolder(path: string, options: Checked): void {
  const stats = lstatSync(path)
  const name = `DATA_DIR ${JSON.stringify(path)}`
  // Sticky or not: files that are not there yet, such as a log of SQLite's, could be put there first.
  if (othersMayWrite(stats)) {
    throw new ConfigError(
      `${name} can be written by every user of this machine, who can exchange the database. Run: chmod o-w ${JSON.stringify(path)}, or give another folder.`,
    )
  }
  if ((stats.mode & 0o020) !== 0) {
    options.warn(
      `${name} can be written by its group, and each member can exchange the database. Unless that is meant, run: chmod g-w ${JSON.stringify(path)}`,
    )
  }
  if (isForeign(stats, options)) {
    options.warn(`${name} belongs to another user (${stats.uid}), who can exchange the database.`)
  }
}

function othersMayWrite({ mode }: Stats): boolean {
  return (mode & 0o002) !== 0
}

/** Of neither this user nor root, who may do everything anyway. */
function isForeign({ uid }: Stats, { user }: Checked): boolean {
  return uid !== user && uid !== 0
}

function checkFile(path: string, { user, warn }: DataDirOptions): void {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return
  if (stats.isSymbolicLink()) {
    throw new ConfigError(
      `${JSON.stringify(path)} is a symbolic link: set DATA_DIR to the folder that holds the database itself.`,
    )
  }
  if (!stats.isFile()) {
    throw new ConfigError(`${JSON.stringify(path)} is no file: set DATA_DIR to another folder.`)
  }
  if (user !== undefined && isForeign(stats, { user, warn })) {
    warn(`${JSON.stringify(path)} belongs to another user (${stats.uid}), who can change every record.`)
  }
}
