import { chmodSync, mkdtempSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Bytes that the tests may need: databases, profiles of browsers, installations. */
const enough = 4 * 2 ** 30

/**
 * Creates a folder for temporary files: in memory where there is room, since databases and browsers wait for a disk at every
 * write that must last.
 */
export function temporaryFolder() {
  const folder = mkdtempSync(join(hasRoom('/dev/shm') ? '/dev/shm' : tmpdir(), 'upgate-'))
  // Tests run as root start PostgreSQL as its own user, who has to get through.
  chmodSync(folder, 0o711)
  return folder
}

/** @param {string} folder */
function hasRoom(folder) {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return process.platform === 'linux' && bavail * bsize > enough
  } catch {
    return false
  }
}
