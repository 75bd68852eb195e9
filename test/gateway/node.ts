import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect } from 'vitest'
import { built, joinedProgram } from './joined-program.ts'

const quickPauses = new URL('./quick-pauses.mjs', import.meta.url).href

/** `upgate node` as a separate process. */
export interface RunningNode {
  readonly child: ChildProcess
  /** Both outputs so far. */
  output(): string
  readonly exited: Promise<number | null>
  printed(text: string): Promise<void>
  /** The characters to compare, once the node shows them. */
  comparisonCode(): Promise<string>
  kill(signal: NodeJS.Signals): boolean
}

/** Starts `upgate node` with these arguments, with the secrets in its environment. */
export function runNode(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input = '',
): RunningNode {
  if (!existsSync(built.command)) throw new Error('The command is not built: npm run build')
  const child = spawn(
    process.execPath,
    ['--import', quickPauses, joinedProgram('command'), 'node', ...args],
    {
      cwd: tmpdir(),
      env: { PATH: process.env.PATH, ...env },
    },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  child.stdin.end(input)
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  const printed = (text: string) => expect.poll(() => output).toContain(text)
  return {
    child,
    output: () => output,
    exited,
    printed,
    async comparisonCode() {
      await expect.poll(() => output).toMatch(/Comparison code: \S+\s/)
      return (output.match(/Comparison code: (\S+)/) ?? [])[1] as string
    },
    kill: (signal) => child.kill(signal),
  }
}
