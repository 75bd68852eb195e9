// What each entry loads, without its dependencies and peers, minified and compressed. A budget is the size that
// was measured plus about a tenth: it catches what was not meant to grow.

/**
 * @param {string} name
 * @param {string} limit
 */
const entry = (name, limit) => ({
  name: name === 'index' ? 'upgate' : `upgate/${name}`,
  path: `packages/upgate/dist/${name}.js`,
  limit,
  modifyEsbuildConfig: (config) => ({ ...config, platform: 'node', packages: 'external' }),
})

export default [
  entry('index', '29 kB'),
  entry('express', '3.6 kB'),
  entry('koa', '3.6 kB'),
  entry('node', '3.2 kB'),
  entry('ws', '18.5 kB'),
  entry('sql', '4 kB'),
  entry('cloudflare-access', '8 kB'),
  entry('protocol', '1.1 kB'),
  entry('testing', '0.7 kB'),
]
