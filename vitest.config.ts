import { defineConfig } from 'vitest/config'

// `@upgate/source` makes tests run on the sources, without a build in between.
export default defineConfig({
  ssr: { resolve: { conditions: ['@upgate/source'] } },
  resolve: { conditions: ['@upgate/source'] },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'examples/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    maxWorkers: 2,
    testTimeout: 15_000,
  },
})
