import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openIdentity } from '../src/node-client/identity.ts'

it.skipIf(process.platform === 'win32')(
  'the key of a node is written into no file that was put there for it',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'upgate-identity-'))
    try {
      const path = join(folder, 'node.json')
      const identity = openIdentity(path)
      writeFileSync(`${path}.new`, '', { mode: 0o666 })
      identity.keep('ugd_token')
      expect(statSync(path).mode & 0o777).toBe(0o600)
      expect(JSON.parse(readFileSync(path, 'utf8')).deviceToken).toBe('ugd_token')
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)
