// Which packages an entry loads: a dependency that one entry needs must not be loaded by the others.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const source = new URL('../../packages/upgate/', import.meta.url)
const { exports } = JSON.parse(readFileSync(new URL('package.json', source), 'utf8')) as {
  exports: Record<string, string | { '@upgate/source': string }>
}

/** The packages that a file and all it imports load as soon as it is imported. */
function packagesOf(file: URL, seen = new Set<string>(), packages = new Set<string>()): Set<string> {
  if (seen.has(file.href)) return packages
  seen.add(file.href)
  const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  for (const [, from = ''] of code.matchAll(/^(?:import|export)(?! type)\b[^'"]*?from '([^']+)'/gm)) {
    if (from.startsWith('.')) packagesOf(new URL(from, file), seen, packages)
    else if (!from.startsWith('node:')) packages.add(from.split('/', 1)[0] as string)
  }
  return packages
}

test.each(
  Object.entries(exports).flatMap(([entry, target]) =>
    typeof target === 'string' ? [] : [[entry, target['@upgate/source']] as const],
  ),
)('upgate%s loads jose only where Access tokens are verified', (entry, file) => {
  const packages = packagesOf(new URL(file, source))
  expect(packages.has('jose')).toBe(entry === './cloudflare-access')
  if (entry === '.') expect([...packages].toSorted()).toEqual(['cookie', 'ipaddr.js'])
})
