// Needs Debian's chromium.
/* The client in a page: it connects by its first frame, and after a 1006 it learns what one request of its own can tell. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { available, launchBrowser } from '../gateway/browser/chromium.ts'
import { keptAsDocumented } from './kept-as-documented.ts'
import { needs } from './needs.ts'
import { type RefusingServers, startRefusingServers } from './refusing-servers.ts'

/** Runs in the page: the same attempts as in the other runtimes. `browser` is the condition that bundlers set. */
const program = `
import { connect, isConnectError } from '@upgate/client'
import { behaviours } from './clients/runtimes/behaviours.mjs'
const found = {}
globalThis.behaviours = () => behaviours(connect)
globalThis.keep = (url, credential) => {
  globalThis.states = []
  globalThis.connection = connect(url, { credential, reconnect: { min: 10, max: 20 } })
  connection.on('state', ({ name }) => states.push(name))
  return connection.accepted.then(() => true)
}
for (const { name, url, token, timeout } of JSON.parse(decodeURIComponent(location.hash.slice(1)))) {
  const connection = connect(url, { credential: token, timeout, reconnect: false })
  try {
    await connection.accepted
    const echoed = new Promise((resolve) => connection.on('message', resolve))
    connection.send('hello')
    found[name] = 'accepted, ' + (await echoed)
  } catch (error) {
    found[name] = isConnectError(error) ? error.code : String(error)
  }
  connection.close()
}
let refused = ''
try {
  connect('ws://127.0.0.1/', { headers: { 'x-a': 'b' } })
} catch (error) {
  refused = error.message
}
document.title = JSON.stringify({ found, refused })
`

describe.skipIf(!needs('chromium', available, 'UPGATE_REQUIRE_BROWSER'))(
  'the client in a page',
  { timeout: 300_000 },
  () => {
    let browser: Browser
    let servers: RefusingServers
    let foreign: RefusingServers
    let origin: string
    /** Requests of the path of the socket that asked for no upgrade. */
    const asked: { readonly mode: string; readonly cookie: string }[] = []
    const site = createServer()

    beforeAll(async () => {
      const bundled = await build({
        stdin: { contents: program, resolveDir: fileURLToPath(new URL('..', import.meta.url)) },
        bundle: true,
        write: false,
        format: 'esm',
        platform: 'browser',
      })
      const script = bundled.outputFiles[0]?.text ?? ''
      site.on('request', (request, response) => {
        // What an edge does with a page whose session has ended.
        if (request.url === '/ws') {
          if (request.headers.upgrade === undefined)
            asked.push({
              mode: String(request.headers['sec-fetch-mode']),
              cookie: String(request.headers.cookie),
            })
          response
            .writeHead(302, { location: 'https://acme.cloudflareaccess.com/cdn-cgi/access/login/x' })
            .end()
          return
        }
        const page =
          request.url === '/page.js'
            ? script
            : '<!doctype html><title>waiting</title><script type="module" src="/page.js"></script>'
        response
          .writeHead(200, {
            'content-type': request.url === '/page.js' ? 'text/javascript' : 'text/html',
            'set-cookie': 'session=of-the-page; HttpOnly; SameSite=Strict',
          })
          .end(page)
      })
      site.listen(0, '127.0.0.1')
      await once(site, 'listening')
      origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
      servers = await startRefusingServers(origin)
      foreign = await startRefusingServers()
      browser = await launchBrowser()
    })
    afterAll(async () => {
      await browser?.close()
      await servers?.close()
      await foreign?.close()
      site.close()
    })

    async function verdicts(
      attempts: readonly unknown[],
    ): Promise<{ found: Record<string, string>; refused: string }> {
      const page = await browser.newPage()
      await page.goto(`${origin}/#${encodeURIComponent(JSON.stringify(attempts))}`)
      await page.waitForFunction(() => document.title !== 'waiting', undefined, { timeout: 90_000 })
      const title = await page.title()
      await page.close()
      return JSON.parse(title) as { found: Record<string, string>; refused: string }
    }

    it('connects, gets the refusals of a gate in band, and does not guess what the browser hides', async () => {
      const { found, refused } = await verdicts(servers.attempts)
      expect(found).toMatchObject({
        'accepted, hello': 'accepted, hello',
        invalid_credential: 'invalid_credential',
        revoked_credential: 'revoked_credential',
        tcp_refused: 'cross_origin_hidden',
        access_login_required: 'cross_origin_hidden',
        http_silent: 'cross_origin_hidden',
      })
      expect(refused).toContain('browsers send no headers with a WebSocket')
    })

    it('learns that its own login has ended, by one request of the same path with its cookies', async () => {
      asked.length = 0
      const { found } = await verdicts([
        { name: 'ended', url: `${origin.replace('http', 'ws')}/ws`, timeout: 30_000 },
      ])
      expect(found).toEqual({ ended: 'page_login_expired' })
      expect(asked).toEqual([{ mode: 'cors', cookie: 'session=of-the-page' }])
    })

    it('keeps its connection as in every other runtime', async () => {
      const page = await browser.newPage()
      await page.goto(`${origin}/#[]`)
      await page.waitForFunction(() => document.title !== 'waiting')
      expect(await page.evaluate('behaviours()')).toEqual(keptAsDocumented)
      await page.close()
    })

    it('tries nothing while the browser is offline, and comes back with the network', async () => {
      const context = await browser.newContext()
      const page = await context.newPage()
      await page.goto(`${origin}/#[]`)
      await page.waitForFunction(() => document.title !== 'waiting')
      const [{ url, token } = { url: '', token: '' }] = servers.attempts
      expect(await page.evaluate(`keep(${JSON.stringify(url)}, ${JSON.stringify(token)})`)).toBe(true)
      await context.setOffline(true)
      servers.cut()
      await page.waitForFunction('connection.state.name === "offline"')
      await page.evaluate('states.length = 0')
      await context.setOffline(false)
      await page.waitForFunction('connection.state.name === "accepted"')
      expect(await page.evaluate('states')).toEqual(['waiting', 'connecting', 'authenticating', 'accepted'])
      await context.close()
    })

    it('of another origin gets a verdict that names `origins`', async () => {
      const { found } = await verdicts(foreign.attempts.slice(0, 1))
      expect(Object.values(found)).toEqual(['cross_origin_hidden'])
    })
  },
)
