// Connects by each entry of @upgate/client to each URL of the command line's JSON, and prints the verdicts as JSON, with how
// connections are kept by an injected clock.
// It runs in Node, Bun and Deno.
import { argv, exit, stdout } from 'node:process'
import { behaviours } from './behaviours.mjs'

/** @type {{ name: string, url: string, token?: string, timeout: number }[]} */
const attempts = JSON.parse(argv[2] ?? '[]')
const entries = /** @type {const} */ (['@upgate/client', '@upgate/client/browser'])

/** @type {Record<string, Record<string, string>>} */
const verdicts = {}
/** @type {Record<string, unknown>} */
const kept = {}
for (const entry of entries) {
  kept[entry] = await behaviours((await import(entry)).connect)
  // Node 20 has no global WebSocket.
  if (entry.endsWith('browser') && !('WebSocket' in globalThis)) continue
  const { connect, isConnectError } = await import(entry)
  /** @type {Record<string, string>} */
  const found = {}
  for (const { name, url, token, timeout } of attempts) {
    const connection = connect(url, { credential: token, timeout, reconnect: false })
    try {
      await connection.accepted
      const echoed = new Promise((resolve) => connection.on('message', resolve))
      connection.send('hello')
      found[name] = `accepted, ${await echoed}`
    } catch (error) {
      found[name] = isConnectError(error) ? error.code : String(error)
    }
    connection.close()
  }
  verdicts[entry] = found
}
stdout.write(`${JSON.stringify({ verdicts, kept })}\n`)
exit(0)
