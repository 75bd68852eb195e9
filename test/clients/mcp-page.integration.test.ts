// Needs Debian's chromium.
/*
 * The client of the MCP SDK in a page of another origin. Its preflight was answered, and then a 401 that the page could
 * not read: no `Access-Control-Allow-Origin`, and a `WWW-Authenticate` that was not exposed.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { available, launchBrowser } from '../gateway/browser/chromium.ts'
import { login, startMcpGateway, tools } from './mcp-gateway.ts'
import { needs } from './needs.ts'

/** Runs in the page: operates the tools of the query one by one, and survives the visits to the authorization server. */
const program = `
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

const kept = (name) => JSON.parse(localStorage.getItem(name) ?? 'null') ?? undefined
const keep = (name, value) => localStorage.setItem(name, JSON.stringify(value))
const here = new URL(location.href)
if (here.searchParams.has('gateway')) keep('task', { gateway: here.searchParams.get('gateway'), tools: here.searchParams.get('tools').split(','), results: [] })
const task = kept('task')
const redirectUrl = location.origin + '/page'
const authProvider = {
  redirectUrl,
  clientMetadata: {
    client_name: 'Page',
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  clientInformation: () => kept('information'),
  saveClientInformation: (information) => keep('information', information),
  tokens: () => kept('tokens'),
  saveTokens: (tokens) => keep('tokens', tokens),
  redirectToAuthorization: (url) => location.assign(url),
  saveCodeVerifier: (verifier) => keep('verifier', verifier),
  codeVerifier: () => kept('verifier'),
}
const connect = () => new StreamableHTTPClientTransport(new URL(task.gateway + '/mcp'), { authProvider })
try {
  const code = here.searchParams.get('code')
  if (code !== null) {
    await connect().finishAuth(code)
    history.replaceState(null, '', '/page')
  }
  const client = new Client({ name: 'page', version: '1.0.0' })
  await client.connect(connect())
  while (task.results.length < task.tools.length) {
    const { content } = await client.callTool({ name: task.tools[task.results.length] })
    task.results.push(content[0].text)
    keep('task', task)
  }
  document.title = 'done'
} catch (error) {
  // Otherwise the page is on its way to the authorization server.
  if (!(error instanceof UnauthorizedError)) document.title = 'failed: ' + error
}
`

describe.skipIf(!needs('chromium', available, 'UPGATE_REQUIRE_BROWSER'))(
  'a client in a page of another origin',
  { timeout: 300_000 },
  () => {
    let browser: Browser
    let pages: string
    let end: () => void

    beforeAll(async () => {
      browser = await launchBrowser()
      const { outputFiles } = await build({
        stdin: { contents: program, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
        bundle: true,
        format: 'esm',
        platform: 'browser',
        target: 'es2022',
        write: false,
        logLevel: 'error',
      })
      const server = createServer((request, response) => {
        const script = request.url === '/page.js'
        response.setHeader('Content-Type', script ? 'text/javascript' : 'text/html; charset=utf-8')
        response.end(
          script ? outputFiles[0]?.text : '<!doctype html><script type="module" src="/page.js"></script>',
        )
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      // Another site than the gateway's 127.0.0.1, not only another origin.
      pages = `http://localhost:${(server.address() as AddressInfo).port}`
      end = () => {
        server.close()
        server.closeAllConnections()
      }
    })
    afterAll(async () => {
      await browser?.close()
      end?.()
    })

    /** Opens the page with a user that is logged in to the gateway. */
    async function open(site: string, wanted: readonly string[], from = pages) {
      const context = await browser.newContext()
      await context.addCookies([{ ...login, url: site }])
      const page = await context.newPage()
      const complaints: string[] = []
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text())
      })
      await page.goto(`${from}/page?${new URLSearchParams({ gateway: site, tools: wanted.join() })}`)
      return { page, complaints, context }
    }

    const settled = (page: Page) =>
      page.waitForFunction(() => /^(?:done|failed)/.test(document.title), undefined, { timeout: 60_000 })

    it('reads the refusals, registers, asks for each scope once, and operates', async () => {
      const { site, record, close } = await startMcpGateway({ anyOrigin: true })
      const { page, complaints, context } = await open(site, [
        'read',
        'write',
        'read',
        'purge',
        'write',
        'read',
      ])
      try {
        await settled(page)
        expect(await page.title()).toBe('done')
        const task = await page.evaluate(() => localStorage.getItem('task') ?? '')
        expect(JSON.parse(task).results).toEqual(
          ['read', 'write', 'read', 'purge', 'write', 'read'].map((tool) => `${tool} by ada`),
        )
        expect(record.registrations).toBe(1)
        expect(record.consents).toEqual([[tools.read], [tools.write], [tools.purge]])
        expect(record.requests.filter((line) => line === 'OPTIONS /mcp').length).toBeGreaterThan(0)
        // What the browser reports are the 401 and the 403 themselves, and the 405 of the stream that is not offered.
        expect(complaints.filter((text) => /CORS|Access-Control/.test(text))).toEqual([])
      } finally {
        await context.close()
        await close()
      }
    })

    it('never acts by the cookie of the user, whatever its request says', async () => {
      const { site, record, close } = await startMcpGateway({ anyOrigin: true })
      // Of the gateway's own site, on another port: the browser does send the cookie along.
      const { page, context } = await open(site, [], pages.replace('localhost', '127.0.0.1'))
      try {
        const tried = await page.evaluate(async (url) => {
          const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
          const outcomes: string[] = []
          for (const credentials of ['omit', 'include'] as const) {
            for (const type of ['text/plain', 'application/json']) {
              try {
                const answer = await fetch(url, {
                  method: 'POST',
                  credentials,
                  body,
                  headers: { 'content-type': type },
                })
                const challenge = answer.headers.get('www-authenticate') ?? ''
                outcomes.push(`${answer.status} ${challenge.split(' ')[0]} ${challenge.includes('scope=')}`)
              } catch (error) {
                outcomes.push((error as Error).name)
              }
            }
          }
          // A plain GET, which the browser sends without a preflight.
          await fetch(url, { credentials: 'include' }).catch(() => undefined)
          return outcomes
        }, `${site}/mcp`)
        // With the browser's credentials the answer cannot be read at all, and it is the same 401.
        expect(tried).toEqual(['401 Bearer true', '401 Bearer true', 'TypeError', 'TypeError'])
        expect(record.withCookie.filter((line) => line.includes('/mcp'))).toEqual([
          'POST /mcp 401',
          'GET /mcp 401',
        ])
      } finally {
        await context.close()
        await close()
      }
    })

    it('gets nowhere on a gateway that was not asked to take pages', async () => {
      const { site, record, close } = await startMcpGateway({ anyOrigin: false })
      const { page, complaints, context } = await open(site, ['read'])
      try {
        await settled(page)
        expect(await page.title()).toMatch(/^failed: /)
        expect(complaints.some((text) => text.includes('CORS policy'))).toBe(true)
        expect([record.registrations, record.consents]).toEqual([0, []])
      } finally {
        await context.close()
        await close()
      }
    })
  },
)
