import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigError } from '../src/config.ts'
import { prepareDataDir } from '../src/data-dir.ts'

const me = process.getuid?.()
/** Every user may trust root's files, so a test as root has to change the owner of a file instead of its own user. */
const root = me === 0
const stranger = 4242

let folder: string
let data: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'upgate-data-')))
  data = join(folder, 'data')
})
afterEach(() => rmSync(folder, { recursive: true }))

/** The warnings about a folder, and its refusal if there is one. */
function saidOf(path: string, user: number | undefined = me): { refused?: string; warnings: string[] } {
  const warnings: string[] = []
  try {
    prepareDataDir(path, { user, warn: (sentence) => warnings.push(sentence) })
    return { warnings }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { refused: error.message, warnings }
  }
}

/** As root, gives a file to another user; otherwise checks the folder as another user. */
function askAsIfOwnedByAnother(owned: string, path: string): ReturnType<typeof saidOf> {
  if (!root) return saidOf(path, stranger)
  chownSync(owned, stranger, stranger)
  return saidOf(path)
}

describe.skipIf(me === undefined)('the data folder', () => {
  it('is created for its owner alone, and then causes no warning', () => {
    expect(saidOf(join(data, 'deeper'))).toEqual({ warnings: [] })
    expect(statSync(data).mode & 0o777).toBe(0o700)
    expect(statSync(join(data, 'deeper')).mode & 0o777).toBe(0o700)
    writeFileSync(join(data, 'deeper', 'gateway.db'), '', { mode: 0o600 })
    expect(saidOf(join(data, 'deeper'))).toEqual({ warnings: [] })
  })

  it.each([0o777, 0o1777, 0o702])('is refused where every user may write it: %o', (mode) => {
    mkdirSync(data)
    chmodSync(data, mode)
    expect(saidOf(data).refused).toBe(
      `DATA_DIR "${data}" can be written by every user of this machine, who can exchange the database. Run: chmod o-w "${data}", or give another folder.`,
    )
    chmodSync(data, 0o755)
    expect(saidOf(data)).toEqual({ warnings: [] })
  })

  it('may be writable for its group, with a warning', () => {
    mkdirSync(data)
    chmodSync(data, 0o770)
    expect(saidOf(data)).toEqual({
      warnings: [
        `DATA_DIR "${data}" can be written by its group, and each member can exchange the database. Unless that is meant, run: chmod g-w "${data}"`,
      ],
    })
  })

  it('may belong to another user, with a warning', () => {
    mkdirSync(data)
    const { refused, warnings } = askAsIfOwnedByAnother(data, data)
    expect(refused).toBeUndefined()
    expect(warnings).toContain(
      `DATA_DIR "${data}" belongs to another user (${root ? stranger : me}), who can exchange the database.`,
    )
  })

  it('is refused below a folder in which every user can replace it, unless that folder has the sticky bit', () => {
    const parent = join(folder, 'open')
    mkdirSync(parent)
    chmodSync(parent, 0o777)
    expect(saidOf(join(parent, 'data')).refused).toBe(
      `"${parent}", a parent of DATA_DIR, can be written by every user of this machine, who can exchange the database. Run: chmod o-w "${parent}", or give another folder.`,
    )
    chmodSync(parent, 0o1777)
    expect(saidOf(join(parent, 'data'))).toEqual({ warnings: [] })
  })

  it('may be reached by links of the same user; the target folder is checked', () => {
    mkdirSync(join(folder, 'real', 'data'), { recursive: true })
    symlinkSync('real', join(folder, 'link'))
    expect(saidOf(join(folder, 'link', 'data'))).toEqual({ warnings: [] })
    chmodSync(join(folder, 'real'), 0o777)
    expect(saidOf(join(folder, 'link', 'data')).refused).toContain(
      `"${join(folder, 'real')}", a parent of DATA_DIR`,
    )
    symlinkSync(join(folder, 'link', 'data'), join(folder, 'second'))
    expect(saidOf(join(folder, 'second')).refused).toContain(
      `"${join(folder, 'real')}", a parent of DATA_DIR`,
    )
    chmodSync(join(folder, 'real'), 0o700)
    chmodSync(join(folder, 'real', 'data'), 0o707)
    expect(saidOf(join(folder, 'second')).refused).toContain(
      `DATA_DIR "${join(folder, 'real', 'data')}" can be`,
    )
  })

  it.runIf(root)('is not reached by a link that another user created in a folder for all', async () => {
    const { lchownSync } = await import('node:fs')
    const parent = join(folder, 'open')
    mkdirSync(parent)
    chmodSync(parent, 0o1777)
    mkdirSync(data)
    symlinkSync(data, join(parent, 'link'))
    expect(saidOf(join(parent, 'link'))).toEqual({ warnings: [] })
    lchownSync(join(parent, 'link'), stranger, stranger)
    expect(saidOf(join(parent, 'link')).refused).toBe(
      `"${join(parent, 'link')}", on the way to DATA_DIR, is a symbolic link of another user (${stranger}), who can point it elsewhere: set the path without the link.`,
    )
  })

  it('warns of a parent that belongs to another user', () => {
    mkdirSync(data)
    const { refused, warnings } = askAsIfOwnedByAnother(folder, data)
    expect(refused).toBeUndefined()
    expect(warnings).toContain(
      `"${folder}", a parent of DATA_DIR, belongs to another user (${root ? stranger : me}), who can exchange the database.`,
    )
  })

  it('warns of a database that belongs to another user', () => {
    mkdirSync(data)
    const database = join(data, 'gateway.db')
    writeFileSync(database, '')
    const { refused, warnings } = askAsIfOwnedByAnother(database, data)
    expect(refused).toBeUndefined()
    expect(warnings).toContain(
      `"${database}" belongs to another user (${root ? stranger : me}), who can change every record.`,
    )
  })
})

it.each(['gateway.db', 'gateway.db-wal', 'gateway.db-shm', 'gateway.db-journal'])(
  'a database that is a link or no file is refused, also where files have no modes: %s',
  (name) => {
    mkdirSync(data)
    writeFileSync(join(folder, 'elsewhere'), '')
    symlinkSync(join(folder, 'elsewhere'), join(data, name))
    for (const user of [me, undefined]) {
      expect(saidOf(data, user).refused).toBe(
        `"${join(data, name)}" is a symbolic link: set DATA_DIR to the folder that holds the database itself.`,
      )
    }
    rmSync(join(data, name))
    mkdirSync(join(data, name))
    expect(saidOf(data).refused).toBe(`"${join(data, name)}" is no file: set DATA_DIR to another folder.`)
  },
)

it('links that lead in a circle end', () => {
  symlinkSync(join(folder, 'b'), join(folder, 'a'))
  symlinkSync(join(folder, 'a'), join(folder, 'b'))
  expect(saidOf(join(folder, 'a')).refused).toContain('cannot be used (')
})
