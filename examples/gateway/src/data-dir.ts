import { accessSync, constants, lstatSync, mkdirSync, readlinkSync, type Stats } from 'node:fs'
import { join, parse, resolve, sep } from 'node:path'
import { ConfigError } from './config.ts'

/** The database, and SQLite's files next to it. */
const databaseFiles = ['gateway.db', 'gateway.db-wal', 'gateway.db-shm', 'gateway.db-journal']

/** Largest number of symbolic links on the way to the folder, as on Linux. */
const mostLinks = 40

export interface DataDirOptions {
  /** Id of the user that runs the gateway; `undefined` on Windows, which has neither ids nor modes. */
  readonly user: number | undefined
  /** Called with a warning about a setting that is safe only if the operator intends it. */
  warn(sentence: string): void
}

/**
 * Creates the data folder, readable by its owner only, and checks whether it is safe.
 *
 * An account of the machine that can write the folder can replace the gateway's database, and thereby become its
 * admin. The folder is therefore refused if every account can write it, or can replace it through a parent. A group
 * with write access, or another owner, may be intended (a volume of a container) and causes a warning.
 *
 * @throws {ConfigError} if the folder is unusable or unsafe
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

/** Follows the path as the system does, link by link, and checks each folder on the way. Returns the real path. */
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
    // In other folders, only users with write access can create a link, and these folders were checked above.
    if (othersMayWrite(lstatSync(way)) && isForeign(stats, options)) {
      throw new ConfigError(
        `${JSON.stringify(next)}, on the way to DATA_DIR, is a symbolic link of another user (${stats.uid}), who can point it elsewhere: set the path without the link.`,
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
  // In a folder with the sticky bit, such as /tmp, only the owner of an entry may replace it.
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
  // Even with the sticky bit, another user could create a missing file first, such as SQLite's log.
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

/** Whether a file belongs to neither this user nor root; root has access to every file anyway. */
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
