import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'

/* The command of edge-sim as a process: what ends it, and with which status. */

const cli = fileURLToPath(new URL('../../packages/edge-sim/dist/cli.js', import.meta.url))
const children: ChildProcessWithoutNullStreams[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** Starts the command, and waits for its first line. */
async function start() {
  const child = spawn(process.execPath, [cli, '--json', '--port', '0', '--upstream', 'http://127.0.0.1:1'])
  children.push(child)
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  const printed = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').once('data', resolve)
    void exited.then(() => reject(new Error(errors)))
  })
  const { url } = JSON.parse(printed.split('\n')[0] ?? '') as { url: string }
  return { child, url, exited, errors: () => errors }
}

describe('the command of edge-sim', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('%s: 0, and nothing is said', async (signal) => {
    const { child, exited, errors } = await start()
    child.kill(signal)
    expect(await exited).toBe(0)
    expect(errors()).toBe('')
  })

  it('`quit`, also as the last thing before the input ends: 0', async () => {
    const { child, exited } = await start()
    child.stdin.end('quit\n')
    expect(await exited).toBe(0)
  })

  it('goes on when the input ends', async () => {
    const { child, url } = await start()
    child.stdin.end()
    await new Promise((resolve) => child.stdin.once('close', resolve))
    expect(
      (await fetch(`${url}/cdn-cgi/access/certs`, { headers: { 'edge-sim-host': 'localhost' } })).status,
    ).toBe(200)
  })

  it('the reader of its output has left, as `| head` does: 0, not a stack trace', async () => {
    const { child, url, exited, errors } = await start()
    child.stdout.destroy()
    await new Promise((resolve) => child.stdout.once('close', resolve))
    // The line about the request finds no reader.
    await fetch(url, { redirect: 'manual' }).catch(() => {})
    expect(await exited).toBe(0)
    expect(errors()).toBe('')
  })
})
