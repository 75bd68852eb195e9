import type { Gate } from '../core/contract/gate.ts'
import type { ListedRule } from '../core/contract/listed-rule.ts'
import { wrongArgument } from '../core/options/check-options.ts'
import { list, optional } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'
import { guardingGates } from '../node/guards.ts'

/** Options of {@link assertGuarded}. */
export interface AssertGuardedOptions {
  /**
   * The path patterns that may be entered without proving anything, as the rules have them; in any order. Where several
   * gates guard the server, what any of them opens has to be listed. Default: not compared.
   */
  readonly open?: readonly string[]
}

const assertGuardedOptions = optionTable<AssertGuardedOptions>()({
  open: optional(
    list("a list of path patterns, such as ['/health', '/assets/*']", (path) => typeof path === 'string', 0),
  ),
})

/**
 * Throws unless a gate guards this server: for the test that fails when `guardServer` is taken out again, or opens
 * a path that was not meant to be open.
 *
 * @param server - of `http` or `https`, after `guardServer`
 * @param options - `open` lists the paths that are meant to be open
 * @throws Error naming what to do: no gate, a path that is open and not in `open`, or one in `open` that is not open
 * @throws TypeError for an argument that is no server, or an unknown option
 * @example
 * assertGuarded(server, { open: ['/health', '/login', '/assets/*'] })
 */
export function assertGuarded(server: object, options: AssertGuardedOptions = {}): void {
  if (typeof (server as { listen?: unknown } | null | undefined)?.listen !== 'function') {
    throw wrongArgument('assertGuarded', 'first', 'an http or https server', server)
  }
  const { open } = assertGuardedOptions.read('assertGuarded', options)
  const gates = guardingGates(server) as readonly Gate[]
  if (gates.length === 0) {
    throw new Error(
      'No gate guards this server: its requests and upgrades reach the listeners undecided. Call guardServer(server, gate, ...) from upgate/ws before it listens.',
    )
  }
  if (open === undefined) return
  const lines = gates.flatMap((gate) => gate.rules().filter((line) => line.openTo === 'anyone'))
  const unexpected = lines.find((line) => !open.includes(line.path))
  if (unexpected !== undefined) {
    throw new Error(
      `${describe(unexpected)} is open to anyone and not in \`open\`. If that is meant, add it there; if not, see \`rules[${unexpected.rule}]\` of the gate.`,
    )
  }
  const closed = open.find((path) => !lines.some((line) => line.path === path))
  if (closed !== undefined) {
    throw new Error(
      `${closed} is in \`open\`, and no rule opens it as written there. Take it out, or write the pattern as the rule does.`,
    )
  }
}

function describe({ path, transport, methods }: ListedRule): string {
  if (transport === 'upgrade') return `${path} (WebSocket upgrades)`
  return methods === 'all' ? path : `${path} (${methods.join(', ')})`
}
