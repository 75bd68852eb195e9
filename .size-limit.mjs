// What each entry loads, without its dependencies and peers, minified and compressed. A budget is the size that
// was measured plus about a tenth: it catches what was not meant to grow.
const packageFolder = 'packages/upgate/dist'

const entry = (name, limit) => ({
  name: name === 'index' ? 'upgate' : `upgate/${name}`,
  path: `${packageFolder}/${name}.js`,
  limit,
  modifyEsbuildConfig: (config) => ({ ...config, platform: 'node', packages: 'external' }),
})

export default [entry('index', '20 kB')]
