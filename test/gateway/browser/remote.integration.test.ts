// Needs Debian's chromium.
import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { needs } from '../../clients/needs.ts'
import { type EdgeFront, startEdge, wrongSecret } from '../edge-front.ts'
import { admin, type DataDir, endAll, type Program, startProgram, temporaryDataDir } from '../program.ts'
import { loggedIn, type Visitor } from '../visitor.ts'
import { available, launchBrowser, measure, picture } from './chromium.ts'

describe.skipIf(!needs('chromium', available, 'UPGATE_REQUIRE_BROWSER'))(
  'the page Remote, in a browser',
  { timeout: 300_000 },
  () => {
    let browser: Browser
    let folders: DataDir[]
    /** The gateway with the page, and the other one behind a simulated edge. */
    let here: Program
    let there: Program
    let edge: EdgeFront
    let boss: Visitor
    let context: BrowserContext
    let page: Page
    let complaints: string[]
    let hostile: Server | undefined

    beforeAll(async () => {
      browser = await launchBrowser()
    })
    afterAll(() => browser?.close())

    beforeEach(async () => {
      folders = [temporaryDataDir(), temporaryDataDir()]
      there = await startProgram({ dataDir: folders[0]?.path ?? '' })
      edge = await startEdge(there.origin)
      here = await startProgram({
        dataDir: folders[1]?.path ?? '',
        env: { REMOTE_ALLOW: 'loopback', NODE_EXTRA_CA_CERTS: edge.ca },
      })
      boss = await loggedIn(there.origin)
      complaints = []
      context = await browser.newContext({ viewport: { width: 1100, height: 800 }, locale: 'en-GB' })
      context.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text())
      })
      context.on('weberror', (error) => complaints.push(String(error.error())))
      page = await context.newPage()
      await page.goto(`${here.origin}/login?next=%2Fremote`)
      await page.getByLabel('Email').fill(admin.email)
      await page.getByLabel('Password', { exact: true }).fill(admin.password)
      await page.keyboard.press('Enter')
      await page.waitForURL('**/remote')
      await page.locator('#live[data-state=on]').waitFor()
    })
    afterEach(async () => {
      await context?.close()
      await endAll()
      await edge?.stop()
      hostile?.closeAllConnections()
      hostile?.close()
      hostile = undefined
      for (const folder of folders) folder.remove()
    })

    /** Wide and narrow, light and dark: saves pictures, finds text that does not fit or cannot be read. */
    async function looks(name: string): Promise<void> {
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        for (const width of [1100, 360]) {
          await page.setViewportSize({ width, height: 740 })
          await picture(page, `remote-${name}-${colorScheme}-${width}`)
          expect(await page.evaluate(measure), `${name} ${colorScheme} ${width}`).toEqual({
            wide: false,
            contrasts: [],
          })
        }
      }
      await page.emulateMedia({ colorScheme: 'light' })
      await page.setViewportSize({ width: 1100, height: 800 })
    }

    /** Moves the focus with the tab key alone. */
    async function tabTo(selector: string, key = 'Tab'): Promise<void> {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press(key)
        if (await page.evaluate((text) => document.activeElement?.matches(text) === true, selector)) return
      }
      throw new Error(`The tab key never reaches ${selector}.`)
    }
    async function typeInto(selector: string, text: string): Promise<void> {
      await tabTo(selector)
      await page.keyboard.press('Control+A')
      await page.keyboard.type(text)
    }
    const stateIs = (name: string) => page.locator(`#state[data-state=${name}]`).waitFor()
    const text = (id: string) => page.locator(`#${id}`).textContent()

    it('goes from a blocked attempt, with advice, to a connected node: by keyboard', async () => {
      const { token } = await boss.device('living room')
      await looks('empty')
      const access = page.locator('#access-fields')
      await typeInto('#url', 'ws://gateway.example.com')
      expect(await access.isVisible()).toBe(false)
      await page.getByText('is not encrypted').waitFor()
      await looks('plain')
      await page.keyboard.press('Control+A')
      await page.keyboard.type('wss:/')
      expect(await access.isVisible()).toBe(false)
      await page.keyboard.type('/')
      expect(await access.isVisible()).toBe(true)
      expect(await page.getByText('is not encrypted').isVisible()).toBe(false)
      await page.keyboard.type(edge.url.slice('wss://'.length))
      await looks('typed')

      await tabTo('#token')
      await page.keyboard.type(token)
      expect(await page.locator('#token').getAttribute('type')).toBe('password')
      await page.keyboard.press('Enter')
      await stateIs('stopped')
      expect([await text('failure-layer'), await text('failure-layer-code')]).toEqual([
        'Cloudflare Access',
        'edge-access',
      ])
      expect(await text('failure-action')).toContain('service token')
      // The answer to the form may come after the news of the state.
      await expect.poll(() => page.locator('#token').inputValue()).toBe('')
      await looks('blocked')

      // The page about the code, and back.
      await tabTo('#failure-link', 'Shift+Tab')
      await page.keyboard.press('Enter')
      await page.waitForURL('**/diagnosis/access_login_required')
      await page.getByRole('heading', { name: 'What to do' }).waitFor()
      await looks('diagnosis')
      await page.goBack()
      await page.locator('#live[data-state=on]').waitFor()

      // The stored token is kept: only the service token is added, first a wrong one.
      await typeInto('#cfClientId', edge.token.id)
      await typeInto('#cfClientSecret', wrongSecret)
      const secret = page.locator('#cfClientSecret')
      expect(await secret.getAttribute('type')).toBe('password')
      await tabTo('[data-reveal=cfClientSecret]')
      await page.keyboard.press('Space')
      expect(await secret.getAttribute('type')).toBe('text')
      expect(await page.getByRole('button', { name: 'Hide client secret' }).count()).toBe(1)
      await looks('secret-shown')
      await tabTo('#remote-form button[type=submit]')
      await page.keyboard.press('Enter')
      await page.locator('#failure-code', { hasText: 'access_token_unknown' }).waitFor({ state: 'attached' })
      await stateIs('stopped')
      await expect
        .poll(async () => [await secret.getAttribute('type'), await secret.inputValue()])
        .toEqual(['password', ''])

      await typeInto('#cfClientSecret', edge.token.secret)
      await page.keyboard.press('Enter')
      await stateIs('connected')
      expect(await page.locator('#failure').isVisible()).toBe(false)
      expect(await text('fact-role')).toBe('node')
      expect(await boss.nodes()).toMatchObject([{ name: 'living room' }])
      await page.locator('[data-saved=cfClientSecret]').waitFor()
      await looks('connected')

      // The tunnel fails under the open connection, and the page follows it without a reload.
      const off = edge.sim.inject({ kind: 'tunnel-down' })
      for (const node of await boss.nodes())
        expect((await boss.delete(`/api/devices/${node.id}`)).status).toBe(204)
      await page.locator('#failure').waitFor()
      await looks('lost')
      off()

      await tabTo('#forget', 'Shift+Tab')
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'Disconnect from' }).waitFor()
      await looks('confirm')
      await tabTo('#confirm-yes')
      await page.keyboard.press('Enter')
      await page.locator('#connection').waitFor({ state: 'hidden' })
      await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('url')
      const html = await page.content()
      for (const value of [token, wrongSecret, edge.token.secret]) expect(html).not.toContain(value)
      await page.goto(`${here.origin}/audit`)
      await page.getByText('remote removed').first().waitFor()
      expect(complaints).toEqual([])
    })

    it('shows what to compare while the other gateway has to approve it, and connects then', async () => {
      const { code } = (await boss.post('/api/pairings/codes', {})).json() as { code: string }
      await page.getByLabel('URL').fill(`${there.origin.replace('http', 'ws')}/ws`)
      await page.getByLabel('Token or pairing code').fill(code)
      await page.getByRole('button', { name: 'Connect', exact: true }).click()
      await stateIs('pairing')
      const [request] = (await boss.get('/api/pairings')).json().requests as Record<string, string>[]
      expect([await text('pairing-code'), await text('pairing-id')]).toEqual([
        request?.comparisonCode,
        request?.id,
      ])
      await looks('pairing')
      await page.reload()
      await stateIs('pairing')
      expect(await text('pairing-code')).toBe(request?.comparisonCode)
      const approved = await boss.post(`/api/pairings/${request?.id}/approve`, {
        comparisonCode: request?.comparisonCode,
      })
      expect(approved.status).toBe(200)
      await stateIs('connected')
      expect(await page.locator('#pairing').isVisible()).toBe(false)
      expect(await page.locator('#fact-paired-row').isVisible()).toBe(true)
      await looks('paired')
      expect(complaints).toEqual([])
    })

    const markup = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
    const escapes = '\u001b[2J\u001b]0;owned\u0007\u202e'
    const frame = (opcode: number, payload: Buffer): Buffer =>
      Buffer.concat([
        payload.length < 126
          ? Buffer.from([0x80 | opcode, payload.length])
          : Buffer.from([0x80 | opcode, 126, payload.length >> 8, payload.length & 255]),
        payload,
      ])

    it.each([
      [
        'headers',
        () =>
          `HTTP/1.1 418 ${markup}\r\nServer: ${markup}${'A'.repeat(3000)}\r\n` +
          `Location: javascript:document.title=1\r\nX-A: ${escapes}\r\n\r\n`,
      ],
      [
        'a body',
        () =>
          `HTTP/1.1 403 No\r\nServer: ${markup}${'A'.repeat(3000)}\r\nContent-Type: text/html\r\n` +
          `Location: javascript:document.title=1\r\n\r\n<title>${markup}</title>${escapes}${markup.repeat(200)}`,
      ],
      [
        'frames',
        (accept: string) =>
          Buffer.concat([
            Buffer.from(
              `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
            ),
            frame(
              1,
              Buffer.from(
                JSON.stringify({
                  type: 'res',
                  id: 'connect',
                  ok: false,
                  error: {
                    code: 'INVALID_REQUEST',
                    message: markup + escapes,
                    details: { reason: markup, action: markup },
                  },
                }),
              ),
            ),
            frame(8, Buffer.concat([Buffer.from([0x03, 0xf0]), Buffer.from(`${markup}${escapes}`)])),
          ]),
      ],
    ])('shows hostile answers as text: %s', async (name, answer) => {
      hostile = createServer((_, response) => response.end())
      hostile.on('upgrade', (request, socket) => {
        socket.on('error', () => {})
        const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
        socket.end(answer(createHash('sha1').update(key).digest('base64')))
      })
      await new Promise<void>((resolve) => hostile?.listen(0, '127.0.0.1', resolve))
      const { port } = hostile.address() as AddressInfo
      await page.getByLabel('URL').fill(`ws://127.0.0.1:${port}/${'long-path-'.repeat(40)}`)
      await page.getByLabel('Token or pairing code').fill('a-token-for-nobody')
      await page.getByRole('button', { name: 'Connect', exact: true }).click()
      await page.locator('#failure').waitFor()
      await page.getByText('What was observed').click()
      if (name === 'frames') await looks('hostile')
      // As the server writes it, too.
      await page.reload()
      await page.locator('#failure').waitFor()
      await page.getByText('What was observed').click()
      const shown = (await page.locator('#failure').textContent()) ?? ''
      expect(shown.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
      expect(shown).not.toContain('a-token-for-nobody')
      expect(await page.locator('#main img, #main script').count()).toBe(0)
      expect(await page.title()).toBe('Remote · Gateway')
      expect(shown.length).toBeLessThan(4000)
      expect(complaints).toEqual([])
    })
  },
)
