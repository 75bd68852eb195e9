import { defineConfig } from 'vitest/config'

const integration = '**/*.integration.test.ts'
const everywhere = ['**/node_modules/**', '**/dist/**']

// `@upgate/source` makes tests run on the sources, without a build in between.
export default defineConfig({
  ssr: { resolve: { conditions: ['@upgate/source'] } },
  resolve: { conditions: ['@upgate/source'] },
  test: {
    maxWorkers: 2,
    // For what hangs, not for what is slow on a busy machine.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Warnings about loopback peers and the like are right, and expected hundreds of times.
    execArgv: ['--disable-warning=UpgateWarning'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: [
            '{packages,examples}/*/test/**/*.test.ts',
            '{test,scripts}/**/*.test.ts',
            'bench/test/**/*.test.ts',
          ],
          exclude: [...everywhere, integration],
        },
      },
      // Tests that need more than Node and npm: a browser, Python, a database. Each says so in its first lines.
      { extends: true, test: { name: 'integration', include: [integration], exclude: everywhere } },
    ],
  },
})
