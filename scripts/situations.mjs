// Produces every situation of test/diagnosis, and writes the verdicts of client and doctor to docs/diagnosis/situations.md.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { root } from './lib/paths.mjs'

const { status } = spawnSync(
  process.execPath,
  [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', 'test/diagnosis/situations.test.ts'],
  { cwd: root, stdio: 'inherit', env: { ...process.env, UPGATE_WRITE_SITUATIONS: '1' } },
)
process.exitCode = status ?? 1
