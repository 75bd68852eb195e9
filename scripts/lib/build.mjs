import { run, runNode } from './children.mjs'
import { root, tool } from './paths.mjs'

/** The build tool neither phones home nor asks. */
export const quiet = { TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', TURBO_NO_UPDATE_NOTIFIER: '1' }

/**
 * Builds the packages and examples, those that changed only.
 *
 * @param {readonly string[]} [filter] Workspaces to build, with what they depend on; default: all
 * @returns {ReturnType<typeof run>}
 */
export function build(filter = []) {
  const only = filter.map((name) => `--filter=${name}...`)
  return runNode(tool('turbo'), ['run', 'build', ...only, '--output-logs=errors-only', '--ui=stream'], {
    cwd: root,
    env: quiet,
  })
}
