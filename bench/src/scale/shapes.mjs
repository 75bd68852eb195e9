/** Segments of the deepest paths: with a literal or a parameter in each, there are more of them than rules. */
const depth = 15

/**
 * Rules in shapes of which each was once dearer than its number. Only the paths differ, apart from those of one shape.
 *
 * @type {Readonly<Record<string, { name: string, rule(i: number): import('upgate').RuleOptions }>>}
 */
export const shapes = {
  prefix: {
    name: 'a shared prefix: `/api/v1/rN`',
    rule: (i) => ({ path: `/api/v1/r${i}`, access: 'required' }),
  },
  parameters: {
    name: 'parameters: `/api/:id/rN/:x`',
    rule: (i) => ({ path: `/api/:id/r${i}/:x`, access: 'required' }),
  },
  methods: {
    name: 'four methods each: `/api/mN/:id`',
    rule: (i) => ({ path: `/api/m${i}/:id`, methods: ['GET', 'POST', 'PUT', 'DELETE'], access: 'required' }),
  },
  scopes: {
    name: 'a scope each: `/api/sN`',
    rule: (i) => ({ path: `/api/s${i}`, access: 'required', scopes: [`s${i}`] }),
  },
  deep: {
    name: `${depth} segments, the last one different`,
    rule: (i) => ({ path: `${'/a'.repeat(depth - 1)}/r${i}`, access: 'required' }),
  },
  combinations: {
    name: `${depth} segments of \`a\` and parameters, all combinations`,
    rule: (i) => ({ path: combination(i), access: 'required' }),
  },
}

/**
 * The bits of a number as segments. Narrower patterns have smaller numbers, and come first.
 *
 * @param {number} bits
 */
function combination(bits) {
  const segments = Array.from({ length: depth }, (_, at) =>
    (bits >> (depth - 1 - at)) & 1 ? `:p${at}` : 'a',
  )
  return `/${segments.join('/')}`
}
