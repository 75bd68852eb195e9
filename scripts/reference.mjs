// Writes docs/api from the built declarations; with --check, says whether it is current and writes nothing.
import { join } from 'node:path'
import { writeGenerated } from './lib/generated.mjs'
import { root } from './lib/paths.mjs'
import { writeReference } from './lib/reference.mjs'

writeGenerated({
  folder: join(root, 'docs', 'api'),
  texts: writeReference(),
  check: process.argv.includes('--check'),
  remedy: 'is not what the docstrings say: npm run build && node scripts/reference.mjs',
})
