// Writes docs/diagnosis from the table of the built package; with --check, says whether it is current and writes nothing.
import { join } from 'node:path'
import { writeDiagnosisPages } from './lib/diagnosis-pages.mjs'
import { writeGenerated } from './lib/generated.mjs'
import { root } from './lib/paths.mjs'

writeGenerated({
  folder: join(root, 'docs', 'diagnosis'),
  texts: await writeDiagnosisPages(),
  // scripts/situations.mjs writes it: it takes real connections.
  others: ['situations.md'],
  check: process.argv.includes('--check'),
  remedy: 'is not what the table says: npm run build && node scripts/diagnosis.mjs',
})
