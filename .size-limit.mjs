// The size of each entry of the library as loaded, without its dependencies and peers, minified and compressed. A budget is the
// size that was measured plus about a tenth: it catches growth that was not meant.
import { readFileSync } from 'node:fs'

/** Of `upgate`. @type {Record<string, string>} */
const budgets = {
  '.': '70 kB',
  './cloudflare-access': '10.4 kB',
  './express': '6.5 kB',
  './koa': '6.5 kB',
  './node': '12.7 kB',
  './oauth': '4.7 kB',
  './protocol': '2 kB',
  './redis': '8.3 kB',
  './sql': '11.5 kB',
  './store': '11.9 kB',
  './testing': '7.9 kB',
  './ws': '42 kB',
}

/** Of the other packages, by folder. @type {Record<string, Record<string, string>>} */
const others = {
  'packages/cli': { '.': '16.9 kB' },
  'packages/client': { '.': '13.9 kB', './browser': '10.5 kB' },
  'packages/diagnosis': { '.': '26 kB' },
}

export default Object.entries({ 'packages/upgate': budgets, ...others }).flatMap(([folder, limits]) => {
  const { name, exports } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
  return Object.entries(exports)
    .filter(([, target]) => typeof target !== 'string')
    .map(([entry, target]) => {
      const limit = limits[entry]
      if (limit === undefined) throw new Error(`.size-limit.mjs has no budget for ${name}${entry.slice(1)}`)
      return {
        name: name + entry.slice(1),
        path: `${folder}/${target.default}`,
        limit,
        modifyEsbuildConfig: (config) => ({
          ...config,
          platform: 'node',
          format: 'esm',
          packages: 'external',
        }),
      }
    })
})
