import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root } from '../lib/paths.mjs'
import { failedTests } from '../lib/suite.mjs'

it('names each failed test by its file, and files that could not be run', () => {
  const file = (name: string, ...tests: [status: string, fullName: string][]) => ({
    name: join(root, name),
    status: tests.length > 0 && tests.every(([status]) => status === 'passed') ? 'passed' : 'failed',
    assertionResults: tests.map(([status, fullName]) => ({ status, fullName })),
  })
  expect(
    failedTests({
      testResults: [
        file('test/a.test.ts', ['passed', 'one'], ['failed', 'two instances close sockets']),
        file('test/b.test.ts', ['passed', 'three']),
        file('test/c.test.ts'),
      ],
    }),
  ).toEqual(['test/a.test.ts: two instances close sockets', 'test/c.test.ts could not be run'])
})
