import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative, sep } from 'node:path'
import type { RequestHandler } from 'express'

/** Modules of installed packages that the pages import, by their fixed names below `/assets/lib/`. */
const entries: Readonly<Record<string, string>> = { 'client.js': '@upgate/client/browser' }

/** Imports and re-exports with a module's name, as the compiler writes them. */
const imports = /^((?:import|export)\s[^'";()=]*?\bfrom\s*)(['"])([^'"]+)\2/gm

/**
 * Serves the modules that the pages import from packages, as they are installed and without a build step: exactly the
 * files that an entry reaches. Browsers know no names of packages, so that these become paths. The paths hold a digest
 * of all contents, and browsers keep the files for good; only the entries are asked for again.
 */
export function servePageModules(base = '/assets/lib/'): RequestHandler {
  const sources = new Map<string, string>()
  const visit = (file: string): void => {
    if (sources.has(file)) return
    const source = readFileSync(file, 'utf8')
    sources.set(file, source)
    for (const [, , , name = ''] of source.matchAll(imports)) visit(locate(name, file))
  }
  const roots = Object.entries(entries).map(([name, specifier]) => {
    const file = createRequire(import.meta.url).resolve(specifier)
    visit(file)
    return { name, file }
  })
  const digest = createHash('sha256')
    .update([...sources.values()].join('\n'))
    .digest('hex')
    .slice(0, 16)
  const pathOf = (file: string): string => {
    const { root, name } = packageOf(file)
    return `${base}${digest}/${name.replace('@', '')}/${relative(root, file).split(sep).join('/')}`
  }
  const served = new Map<string, { readonly text: string; readonly keep: boolean }>()
  for (const [file, source] of sources) {
    const text = source
      .replace(
        imports,
        (_all, head: string, quote: string, name: string) =>
          `${head}${quote}${pathOf(locate(name, file))}${quote}`,
      )
      .replace(/\n\/\/# sourceMappingURL=.*/, '')
    served.set(pathOf(file), { text, keep: true })
  }
  for (const { name, file } of roots) {
    served.set(`${base}${name}`, { text: `export * from '${pathOf(file)}'\n`, keep: false })
  }
  return (request, response, next) => {
    const module = served.get(request.path)
    if (module === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) return next()
    response
      .type('text/javascript')
      .set('cache-control', module.keep ? 'public, max-age=31536000, immutable' : 'no-cache')
      .send(module.text)
  }
}

function locate(name: string, from: string): string {
  return name.startsWith('.') ? join(dirname(from), name) : createRequire(from).resolve(name)
}

/** The package of a file: the nearest folder above with a manifest that has a name. */
function packageOf(file: string): { readonly root: string; readonly name: string } {
  for (let root = dirname(file); root !== dirname(root); root = dirname(root)) {
    let manifest: { readonly name?: unknown }
    try {
      manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    } catch {
      continue
    }
    if (typeof manifest.name === 'string') return { root, name: manifest.name }
  }
  throw new Error(`${file} belongs to no package.`)
}
