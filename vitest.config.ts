import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { hearTheLibrary } from './test/output/hear.ts'

const integration = '**/*.integration.test.ts'
/** Sockets have an object of `ws` from the beginning; these tests are about sockets without one. */
const eager = process.env.UPGATE_SOCKETS?.split(',').includes('eager') ?? false
const bare = ['packages/upgate/test/ws/bare-*.test.ts', 'test/clients/ws-releases.test.ts']
/** On another Node than the first: fuzzes without a socket, of our own code only, and guides about other libraries. */
const another = process.env.UPGATE_NODE === 'another'
const ours = [
  'packages/upgate/test/ws/{mutations,interleavings,schedules}.test.ts',
  'packages/upgate/test/services/login-flood.test.ts',
  'test/docs/guide-{sessions-elsewhere,migrating}.test.ts',
]
const everywhere = ['**/node_modules/**', '**/dist/**', ...(eager ? bare : []), ...(another ? ours : [])]

/** Tests that load modules again, listen to the process, load it, or count its work: each in a process of its own. */
const apart = [
  'packages/upgate/test/{growth,pitfalls,stores}/**/*.test.ts',
  'packages/upgate/test/ws/hostile.test.ts',
  'packages/upgate/test/services/default-logger.test.ts',
]

// Under `npm test`: what is printed, logged and answered is looked through for secrets; see test/output.
const records = process.env.UPGATE_OUTPUT !== undefined
const recorder = fileURLToPath(new URL('./test/output/record.ts', import.meta.url))

/** Files that mostly wait: for programs, browsers, pauses. By their size, which counts without a former run, they would come late. */
const slow = new RegExp(
  [
    'gateway/(?:instances|remote|remote-instances|start|access|pairing|nodes)\\.',
    'two-gateways\\.|client-runtimes|real-outages|remote\\.integration|restart\\.integration',
    'openclaw-front/test/(?:nodes|strangers|relay|program)|contract/(?:contract|examples)\\.test|stores/sqlite',
    'docs/(?:programs|guide-sessions-elsewhere|guide-migrating)|path-differential|cli/test/doctor|client/test/connect',
  ].join('|'),
)

/**
 * Slow files first, so that no worker has nothing to do at the end while another one has a slow file left; before them those
 * of processes of their own, so that the shared processes stay.
 */
class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const rank = ({ moduleId, project }: TestSpecification): number =>
      (project.name === 'apart' ? 0 : 2) + (slow.test(moduleId) ? 0 : 1)
    return sorted.sort((one, other) => rank(one) - rank(other))
  }
}

// `@upgate/source` makes tests run on the sources, without a build in between.
export default defineConfig({
  ssr: { resolve: { conditions: ['@upgate/source'] } },
  resolve: { conditions: ['@upgate/source'] },
  plugins: records ? [hearTheLibrary()] : [],
  test: {
    maxWorkers: 3,
    sequence: { sequencer: SlowFirst },
    setupFiles: [
      ...(records ? [recorder] : []),
      ...(eager ? ['packages/upgate/test/ws/eager-sockets.ts'] : []),
    ],
    // Far more than a slow test needs on a busy machine: it only ends tests that hang.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // The same for each wait for a condition: a second, the default, is too short for another process on such a machine.
    expect: { poll: { timeout: 20_000 } },
    // Warnings about loopback peers and the like are right, and expected hundreds of times.
    execArgv: ['--disable-warning=UpgateWarning'],
    projects: [
      // The other tests share processes: to load the sources again for each file takes longer than to run most of them,
      // and the sources have no module state that one file could leave to the next.
      {
        extends: true,
        test: {
          name: 'unit',
          include: [
            '{test,scripts}/**/*.test.ts',
            'packages/*/test/**/*.test.ts',
            'examples/*/test/**/*.test.ts',
            'bench/test/**/*.test.ts',
          ],
          exclude: [...everywhere, integration, ...apart],
          isolate: false,
        },
      },
      { extends: true, test: { name: 'apart', include: apart, exclude: [...everywhere, integration] } },
      // Tests that need more than Node and npm: a browser, Python, a database. Each says so in its first lines.
      {
        extends: true,
        test: { name: 'integration', include: [integration], exclude: everywhere, isolate: false },
      },
    ],
  },
})
