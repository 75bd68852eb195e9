// Needs Debian's chromium.
import { createServer } from 'node:http'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { needs } from '../../clients/needs.ts'
import { freePort } from '../../free-port.ts'
import { runNode as runCommand } from '../node.ts'
import { admin, type DataDir, endAll, type Program, startProgram, temporaryDataDir } from '../program.ts'
import { available, launchBrowser, measure, picture } from './chromium.ts'

const clockAhead = new URL('../clock-ahead.mjs', import.meta.url).href
const noAdmin = { ADMIN_EMAIL: undefined, ADMIN_PASSWORD: undefined }

describe.skipIf(!needs('chromium', available, 'UPGATE_REQUIRE_BROWSER'))(
  'in a browser',
  { timeout: 300_000 },
  () => {
    let browser: Browser
    let data: DataDir
    let program: Program
    let context: BrowserContext
    /** Errors of the pages: policy violations, failed scripts, refused requests. */
    let complaints: string[]

    beforeAll(async () => {
      browser = await launchBrowser()
    })
    afterAll(() => browser?.close())

    beforeEach(() => {
      data = temporaryDataDir()
    })
    afterEach(async () => {
      await context?.close()
      await endAll()
      data.remove()
    })

    async function start(env: Record<string, string | undefined> = {}): Promise<void> {
      program = await startProgram({ dataDir: data.path, env })
      context = await newContext()
    }

    async function newContext(options: Parameters<Browser['newContext']>[0] = {}): Promise<BrowserContext> {
      const created = await browser.newContext({
        viewport: { width: 1100, height: 800 },
        locale: 'en-GB',
        ...options,
      })
      complaints = []
      created.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text())
      })
      created.on('weberror', (error) => complaints.push(String(error.error())))
      return created
    }

    async function logIn(page: Page): Promise<void> {
      await page.goto(`${program.origin}/login`)
      await page.getByLabel('Email').fill(admin.email)
      await page.getByLabel('Password', { exact: true }).fill(admin.password)
      await page.getByRole('button', { name: 'Log in' }).click()
      await page.waitForURL('**/nodes')
      await live(page)
    }

    const live = (page: Page) => page.locator('#live[data-state=on]').waitFor()

    async function createDevice(page: Page, name: string): Promise<string> {
      await page.getByLabel('Name of the new device').fill(name)
      await page.getByRole('button', { name: 'Create device' }).click()
      await page.locator('#token-dialog[open]').waitFor()
      const token = await page.getByLabel('Token', { exact: true }).inputValue()
      expect(token).toMatch(/^ugd_/)
      return token
    }

    const closeToken = (page: Page) => page.getByRole('button', { name: 'Done' }).click()

    /** Runs a node against the gateway, as a person would. */
    function runNode(proof: string | Record<string, string>, args: readonly string[] = []) {
      const url = `${program.origin.replace('http', 'ws')}/ws`
      const env = typeof proof === 'string' ? { UPGATE_TOKEN: proof } : proof
      const node = runCommand([...args, url], { HOME: data.path, ...env })
      return { ...node, stop: () => node.kill('SIGKILL') }
    }

    it('sets up with the printed code, and goes on from there', async () => {
      await start(noAdmin)
      const [, code = ''] = await program.printed(/^Setup code: (\S+)\s/m)
      const page = await context.newPage()
      await page.goto(`${program.origin}/chat`)
      expect(new URL(page.url()).pathname).toBe('/setup')
      await picture(page, 'setup')
      await page.getByLabel('Setup code').fill('WRONGWRO')
      await page.getByLabel('Email').fill(admin.email)
      await page.getByLabel('Password', { exact: true }).fill(admin.password)
      await page.getByRole('button', { name: 'Create account' }).click()
      await page.getByRole('alert').getByText('This is not the setup code.').waitFor()
      expect(await page.getByLabel('Email').inputValue()).toBe(admin.email)
      await picture(page, 'setup-wrong')
      await page.getByLabel('Setup code').fill(code.toLowerCase())
      await page.getByLabel('Password', { exact: true }).fill(admin.password)
      await page.getByRole('button', { name: 'Create account' }).click()
      await page.waitForURL('**/nodes')
      await page.getByText('No node is connected.').waitFor()
      await page.getByText('No device yet.').waitFor()
      await live(page)
      await picture(page, 'nodes-empty')
      await page.goto(`${program.origin}/setup`)
      expect(new URL(page.url()).pathname).toBe('/login')
      expect(complaints.filter((text) => !text.includes('403'))).toEqual([])
    })

    it('logs in, redirects back, shows errors, and logs out', async () => {
      await start()
      const page = await context.newPage()
      await page.goto(`${program.origin}/audit`)
      expect(page.url()).toBe(`${program.origin}/login?next=%2Faudit`)
      await picture(page, 'login')
      await page.getByLabel('Email').fill(admin.email)
      await page.getByLabel('Password', { exact: true }).fill('not the password')
      await page.getByRole('button', { name: 'Show password' }).click()
      expect(await page.locator('#password').getAttribute('type')).toBe('text')
      await page.getByRole('button', { name: 'Log in' }).click()
      await page.getByRole('alert').getByText('Email or password is wrong.').waitFor()
      await picture(page, 'login-wrong')
      await page.getByLabel('Password', { exact: true }).fill(admin.password)
      await page.keyboard.press('Enter')
      await page.waitForURL('**/audit')
      await page
        .getByRole('cell', { name: 'login failed' })
        .or(page.getByText('login failed'))
        .first()
        .waitFor()

      const cookies = await context.cookies()
      const strict = { httpOnly: true, secure: true, sameSite: 'Strict' }
      expect(cookies.sort((one, other) => (one.name < other.name ? -1 : 1))).toMatchObject([
        { name: '__Host-gateway_device', ...strict },
        { name: '__Host-gateway_session', ...strict },
      ])
      await page.getByRole('button', { name: 'Log out' }).click()
      await page.waitForURL('**/login')
      // The browser is recognised when it returns, but not logged in.
      expect(await context.cookies()).toMatchObject([{ name: '__Host-gateway_device' }])
    })

    it('shows a node live, from its device to its end', async () => {
      await start()
      const page = await context.newPage()
      await logIn(page)
      const token = await createDevice(page, 'kitchen-pi')
      await expect
        .poll(() => page.locator('#run-command').textContent())
        .toContain(`UPGATE_TOKEN='${token}' npx @upgate/cli node `)
      await picture(page, 'token')
      await closeToken(page)
      await expect.poll(() => page.content()).not.toContain(token)
      await picture(page, 'nodes-device')

      const node = runNode(token)
      const row = page.locator('#nodes tbody tr')
      await row.filter({ hasText: 'kitchen-pi' }).waitFor()
      expect(await row.textContent()).toMatch(/node\s+127\.0\.0\.1/)
      await page.locator('#devices').getByText('Connected').waitFor()
      await expect.poll(() => page.locator('#node-count').textContent()).toBe('1')
      // The page may learn of it before the node has printed it.
      await expect.poll(node.output).toContain('Accepted as node')
      await picture(page, 'nodes-connected')

      await page.getByRole('button', { name: 'Revoke kitchen-pi' }).click()
      await picture(page, 'revoke')
      await page.getByRole('button', { name: 'Revoke', exact: true }).click()
      await row.waitFor({ state: 'detached' })
      await page.getByText('No node is connected.').waitFor()
      await page.getByText('No device yet.').waitFor()
      expect(await node.exited).toBe(3)
      expect(node.output()).toContain('close reason: revoked')
      expect(complaints).toEqual([])
    })

    it('lets a device ask with a code, and approves it by its comparison code', async () => {
      await start()
      const page = await context.newPage()
      await logIn(page)
      await page.getByRole('button', { name: 'Create a code' }).click()
      await page.locator('#code-dialog[open]').waitFor()
      const code = await page.getByLabel('Code', { exact: true }).inputValue()
      await picture(page, 'pairing-code')
      await closeToken(page)
      await expect.poll(() => page.locator('#code-value').inputValue()).toBe('')
      await page.getByText('A code is open').waitFor()
      const node = runNode({ UPGATE_CODE: code }, ['--key-file', `${data.path}/node.json`])
      // The request appears by itself, with the code that the device shows.
      const row = page.locator('#pairings tbody tr')
      await row.waitFor()
      const comparison = (await row.locator('[data-f=comparisonCode]').textContent()) ?? ''
      await expect.poll(node.output).toContain(`Comparison code: ${comparison}`)
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        for (const width of [1100, 360]) {
          await page.setViewportSize({ width, height: 740 })
          await picture(page, `pairing-${colorScheme}-${width}`)
          expect(await page.evaluate(measure)).toEqual({ wide: false, contrasts: [] })
        }
      }
      await page.getByRole('button', { name: new RegExp(`^Approve .*${comparison}`) }).click()
      await page.getByLabel('Six characters that the device shows').fill(comparison.toLowerCase())
      await page.locator('#approve-dialog').getByRole('button', { name: 'Approve' }).click()
      await page.locator('#nodes tbody tr').waitFor()
      await page.locator('#devices [data-state=on]').waitFor()
      await expect.poll(() => row.count()).toBe(0)
      await page.getByText('No device asks to be let in.').waitFor()
      expect(complaints).toEqual([])
      node.stop()
    })

    it('binds a code to scopes, and asks which of them the device gets', async () => {
      await start()
      const page = await context.newPage()
      await logIn(page)
      await page.getByText('What it may be given, besides being a node').first().click()
      // Only scopes that open a route for a device, and that the account holds.
      expect(
        await page
          .locator('#invite-scopes input')
          .evaluateAll((boxes) => boxes.map((box) => (box as HTMLInputElement).value)),
      ).toEqual(['operator.read'])
      await page.locator('#invite-scopes').getByLabel('See which nodes are connected').check()
      await picture(page, 'pairing-scopes')
      await page.getByRole('button', { name: 'Create a code' }).click()
      await page.locator('#code-dialog[open]').waitFor()
      expect(await page.locator('#code-scopes').textContent()).toContain('operator.read')
      expect(await page.locator('#pair-command').textContent()).toContain(
        'npx @upgate/cli node --scopes operator.read ws',
      )
      const code = await page.getByLabel('Code', { exact: true }).inputValue()
      await picture(page, 'pairing-scopes-code')
      await closeToken(page)
      // No scope stays checked for the next invitation.
      await expect.poll(() => page.locator('#invite-scopes input:checked').count()).toBe(0)
      await expect.poll(() => page.locator('#invitations').textContent()).toContain('operator.read')
      const node = runNode({ UPGATE_CODE: code }, [
        '--key-file',
        `${data.path}/node.json`,
        '--scopes',
        'operator.read,operator.admin',
      ])
      const row = page.locator('#pairings tbody tr')
      await row.waitFor()
      const approve = page.getByRole('button', { name: /^Approve / }).first()
      await approve.click()
      const dialog = page.locator('#approve-dialog')
      await dialog.and(page.locator('[open]')).waitFor()
      const comparison = (await row.locator('[data-f=comparisonCode]').textContent()) ?? ''
      // Read from the device, never filled in by the page.
      expect(await page.locator('#approve-code').inputValue()).toBe('')
      expect(await dialog.textContent()).not.toContain(comparison)
      expect(
        await dialog
          .locator('input:checked')
          .evaluateAll((boxes) => boxes.map((box) => (box as HTMLInputElement).value)),
      ).toEqual(['operator.read'])
      expect(await dialog.getByLabel('operator.admin').isDisabled()).toBe(true)
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        for (const width of [1100, 360]) {
          await page.setViewportSize({ width, height: 740 })
          await picture(page, `pairing-approve-${colorScheme}-${width}`)
          expect(await page.evaluate(measure)).toEqual({ wide: false, contrasts: [] })
        }
      }
      // Cancelling decides nothing.
      await dialog.getByRole('button', { name: 'Cancel' }).click()
      await expect
        .poll(() => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? ''))
        .toContain('Approve')
      expect(await row.count()).toBe(1)
      await approve.click()
      await page.getByLabel('Six characters that the device shows').fill(comparison)
      await dialog.getByRole('button', { name: 'Approve' }).click()
      await page.locator('#nodes tbody tr').waitFor()
      await expect.poll(() => row.count()).toBe(0)
      await page.goto(`${program.origin}/audit`)
      await page
        .getByText(/pairing.approved/i)
        .first()
        .waitFor()
      expect(await page.locator('main').textContent()).toContain('operator.read')
      expect(complaints).toEqual([])
      node.stop()
    })

    // Of two requests under one name, one of a device that was gone, the wrong one was approved.
    it('tells two devices of one name apart by keyboard, and shows what became of them', async () => {
      await start({ NODE_OPTIONS: `--import=${clockAhead}` })
      const page = await context.newPage()
      await logIn(page)
      const pair = async (file: string) => {
        await page.getByRole('button', { name: 'Create a code' }).press('Enter')
        await page.locator('#code-dialog[open]').waitFor()
        const code = await page.getByLabel('Code', { exact: true }).inputValue()
        const args = ['--name', 'kitchen', '--key-file', `${data.path}/${file}.json`]
        const node = runNode({ UPGATE_CODE: code }, args)
        const shown = await node.comparisonCode()
        // The request appears over the dialog, which hides the table.
        await page.locator('#arrivals').getByText(shown).waitFor()
        return { node, shown }
      }
      const gone = await pair('gone')
      await picture(page, 'pairing-arrival')
      await page.getByRole('button', { name: `Go to the request of kitchen, ${gone.shown}` }).press('Enter')
      await expect.poll(() => page.locator('#code-value').inputValue()).toBe('')
      const focused = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? '')
      await expect.poll(focused).toBe(`Approve kitchen, ${gone.shown}`)
      gone.node.stop()
      await gone.node.exited
      const alive = await pair('alive')
      process.kill(program.pid, 'SIGUSR2')
      await page.keyboard.press('Escape')

      const rows = page.locator('#pairings tbody tr')
      // A minute and ten seconds, and as long as this machine has taken since.
      await rows
        .nth(1)
        .getByText(/silent for \d min/)
        .waitFor()
      await rows
        .nth(0)
        .getByText(/^asked \d+ s ago$/)
        .waitFor()
      expect(await rows.locator('[data-f=comparisonCode]').allTextContents()).toEqual([
        alive.shown,
        gone.shown,
      ])
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        for (const width of [1100, 360]) {
          await page.setViewportSize({ width, height: 740 })
          await picture(page, `pairing-two-${colorScheme}-${width}`)
          expect(await page.evaluate(measure)).toEqual({ wide: false, contrasts: [] })
        }
      }

      // The wrong row: it says that the device is silent, and refuses the characters of the other one.
      const field = page.getByLabel('Six characters that the device shows')
      await page.getByRole('button', { name: `Approve kitchen, ${gone.shown}` }).press('Enter')
      await page
        .locator('#approve-silent')
        .getByText(/silent for \d min/)
        .waitFor()
      await page.keyboard.type(alive.shown)
      await page.keyboard.press('Enter')
      await page.getByRole('alert').getByText('The device of this request shows other characters.').waitFor()
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        for (const width of [1100, 360]) {
          await page.setViewportSize({ width, height: 740 })
          await picture(page, `pairing-mismatch-${colorScheme}-${width}`)
          expect(await page.evaluate(measure)).toEqual({ wide: false, contrasts: [] })
        }
      }
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: `Approve kitchen, ${alive.shown}` }).press('Enter')
      // The page asks for the request first.
      await page.locator('#approve-dialog[open]').waitFor()
      expect(await field.inputValue()).toBe('')
      await page.keyboard.type(alive.shown)
      await page.keyboard.press('Enter')
      const outcomes = page.locator('#outcome-list li')
      await outcomes
        .filter({ hasText: alive.shown })
        .getByText(/^Connected as device kitchen/)
        .waitFor()
      await expect.poll(alive.node.output).toContain('Accepted as node')
      await page.getByRole('button', { name: `Reject kitchen, ${gone.shown}` }).press('Enter')
      await outcomes.filter({ hasText: gone.shown }).getByText('Rejected by ada@example.com.').waitFor()
      await page.reload()
      await live(page)
      await outcomes.nth(1).waitFor()
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        for (const width of [1100, 360]) {
          await page.setViewportSize({ width, height: 740 })
          await picture(page, `pairing-outcomes-${colorScheme}-${width}`)
          expect(await page.evaluate(measure)).toEqual({ wide: false, contrasts: [] })
        }
      }
      expect(complaints.filter((text) => !text.includes('409'))).toEqual([])

      await page.goto(`${program.origin}/audit`)
      await live(page)
      await page.getByRole('searchbox', { name: 'Search' }).fill(`${alive.shown} pairing`)
      await expect
        .poll(() => page.locator('#audit tbody tr:visible [data-f=event]').allTextContents())
        .toEqual(['pairing collected', 'pairing approved', 'pairing requested'])
      await page
        .locator('#audit-found')
        .getByText(/^3 of \d+ events$/)
        .waitFor()
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        for (const width of [1100, 360]) {
          await page.setViewportSize({ width, height: 740 })
          await picture(page, `audit-search-${colorScheme}-${width}`)
          expect(await page.evaluate(measure)).toEqual({ wide: false, contrasts: [] })
        }
      }
      await page.getByLabel('From').selectOption({ label: 'The last 5 minutes' })
      await page.locator('#audit tbody tr:visible').first().waitFor()
      await page.getByRole('searchbox', { name: 'Search' }).fill('no such words')
      await page.getByText('Nothing matches the filters above.').waitFor()
      alive.node.stop()
    })

    it('creates API keys with chosen scopes, and revokes them', async () => {
      await start()
      const page = await context.newPage()
      await logIn(page)
      await page.getByRole('link', { name: 'API keys' }).click()
      await live(page)
      await picture(page, 'keys-empty')
      await page.getByLabel('Name').fill('status-board')
      await page.getByRole('checkbox').first().uncheck()
      await page.getByRole('button', { name: 'Create key' }).click()
      await page.getByText('Choose at least one thing it may do').waitFor()
      await page.getByRole('checkbox').first().check()
      await page.getByRole('button', { name: 'Create key' }).click()
      await page.locator('#token-dialog[open]').waitFor()
      const token = await page.locator('#token-value').inputValue()
      const nodes = () =>
        fetch(`${program.origin}/api/nodes`, { headers: { authorization: `Bearer ${token}` } })
      expect((await nodes()).status).toBe(200)
      await picture(page, 'key-token')
      await closeToken(page)
      await page.locator('#keys tbody').getByText('operator.read').waitFor()
      await picture(page, 'keys')
      await page.getByRole('button', { name: 'Revoke status-board' }).click()
      await page.getByRole('button', { name: 'Revoke', exact: true }).click()
      await page.getByText('No key yet.').waitFor()
      expect((await nodes()).status).toBe(401)
      expect(complaints).toEqual([])
    })

    it('carries a chat between two windows, as text', async () => {
      await start()
      const one = await context.newPage()
      await logIn(one)
      await one.getByRole('link', { name: 'Chat' }).click()
      await live(one)
      await picture(one, 'chat-empty')
      const second = await newContext()
      const other = await second.newPage()
      await logIn(other)
      await other.goto(`${program.origin}/chat`)
      await live(other)
      await one.getByText('2 windows are here.').waitFor()

      await one
        .getByRole('textbox', { name: 'Message' })
        .fill('Good morning <img src=x onerror="document.title=1">')
      await one.keyboard.press('Enter')
      await other.getByText('Good morning <img src=x').waitFor()
      expect(await other.locator('#messages img').count()).toBe(0)
      await other.getByRole('textbox', { name: 'Message' }).fill('Good morning to you')
      await other.keyboard.press('Enter')
      await one.locator('#messages').getByText('Good morning to you').waitFor()
      expect(await one.locator('#messages li.mine').count()).toBe(1)
      await picture(one, 'chat')
      expect(complaints).toEqual([])
      await second.close()
    })

    it('reconnects by itself after a restart of the gateway, and asks for a login when the session is gone', async () => {
      // A port that nothing else gets while it restarts.
      await start({ PORT: `${await freePort()}` })
      const page = await context.newPage()
      await logIn(page)
      const { port } = new URL(program.origin)
      await program.stop('SIGTERM')
      await page.locator('#live[data-state=lost]').waitFor()
      await picture(page, 'reconnecting')
      program = await startProgram({ dataDir: data.path, env: { PORT: port } })
      await live(page)
      const other = await newContext()
      await other.addCookies(await context.cookies())
      const elsewhere = await other.newPage()
      await elsewhere.goto(`${program.origin}/nodes`)
      await elsewhere.getByRole('button', { name: 'Log out' }).click()
      await page.waitForURL('**/login?next=%2Fnodes')
      await other.close()
    })

    it('gives a page of another origin nothing', async () => {
      await start()
      const page = await context.newPage()
      await logIn(page)
      const token = await createDevice(page, 'kitchen-pi')
      await closeToken(page)
      // Another port of the same host: browsers send SameSite=Strict cookies along.
      const evil = createServer((_request, response) =>
        response.setHeader('content-type', 'text/html').end('<p>evil'),
      )
      evil.listen(0, '127.0.0.1')
      await new Promise((resolve) => evil.once('listening', resolve))
      const { port } = evil.address() as { port: number }
      const attacker = await context.newPage()
      await attacker.goto(`http://127.0.0.1:${port}/`)
      const outcome = await attacker.evaluate(
        async ([origin, stolen]) => {
          const socket = (path: string, first?: string) =>
            new Promise<string>((resolve) => {
              const ws = new WebSocket(`${origin?.replace('http', 'ws')}${path}`)
              ws.onopen = () => first !== undefined && ws.send(first)
              ws.onmessage = (event) => resolve(`message ${event.data}`)
              ws.onclose = (event) => resolve(`closed ${event.code}`)
            })
          const connect = {
            type: 'req',
            id: '1',
            method: 'connect',
            params: { auth: { deviceToken: stolen } },
          }
          const read = (path: string, options: RequestInit) =>
            fetch(`${origin}${path}`, { credentials: 'include', ...options }).then(
              (response) => response.text(),
              () => 'failed',
            )
          return {
            chat: await socket('/ws/chat'),
            live: await socket('/ws/live'),
            node: await socket('/ws', JSON.stringify(connect)),
            nodes: await read('/api/nodes', {}),
            create: await read('/api/devices', {
              method: 'POST',
              headers: { 'content-type': 'application/json' },
              body: '{"name":"evil"}',
            }),
            form: await read('/logout', { method: 'POST', mode: 'no-cors' }),
          }
        },
        [program.origin, token],
      )
      evil.close()
      expect(outcome.chat).toMatch(/^closed|origin_refused/)
      expect(outcome.live).toMatch(/^closed|origin_refused/)
      expect(outcome.node).not.toContain('hello-ok')
      expect(outcome.nodes).toBe('failed')
      expect(outcome.create).toBe('failed')
      expect(outcome.form).toBe('')
      // The page caused neither a device nor a logout.
      await page.reload()
      await live(page)
      await expect.poll(() => page.locator('#devices tbody tr').count()).toBe(1)
      expect(await page.locator('#nodes tbody tr').count()).toBe(0)
    })

    it('follows a link from another site without a second login', async () => {
      await start()
      const page = await context.newPage()
      await logIn(page)
      // `localhost` is another site than `127.0.0.1`: the strict cookie is not sent along.
      const link = `<a href="${program.origin}/keys">keys</a>`
      const site = createServer((_request, response) =>
        response.setHeader('content-type', 'text/html').end(link),
      )
      site.listen(0, '127.0.0.1')
      await new Promise((resolve) => site.once('listening', resolve))
      await page.goto(`http://localhost:${(site.address() as { port: number }).port}/`)
      await page.getByRole('link', { name: 'keys' }).click()
      await page.waitForURL(`${program.origin}/keys`)
      await live(page)
      site.close()
    })

    it('can be used by keyboard alone', async () => {
      await start()
      const page = await context.newPage()
      await page.goto(`${program.origin}/login`)
      await page.keyboard.type(admin.email)
      await page.keyboard.press('Tab')
      await page.keyboard.type(admin.password)
      await page.keyboard.press('Enter')
      await page.waitForURL('**/nodes')
      await live(page)
      const focused = () =>
        page.evaluate(() => {
          const element = document.activeElement as HTMLElement
          const { outlineStyle, outlineWidth } = getComputedStyle(element)
          const label = element.getAttribute('aria-label') ?? element.textContent?.trim()
          return {
            name: label === '' ? element.id : label,
            ring: outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2,
          }
        })
      const seen: string[] = []
      for (let step = 0; step < 14 && !seen.includes('device-name'); step++) {
        await page.keyboard.press('Tab')
        const { name, ring } = await focused()
        expect([name, ring]).toEqual([name, true])
        seen.push(String(name))
      }
      expect(seen).toEqual([
        'Skip to content',
        'Gateway',
        'Nodes',
        'API keys',
        'Chat',
        'Remote',
        'Audit',
        'Users',
        'Account',
        'Log out',
        'What it may be given, besides being a node',
        'Create a code',
        'Let devices ask for 2 minutes',
        'device-name',
      ])
      await picture(page, 'focus')
      await page.keyboard.type('attic')
      await page.keyboard.press('Enter')
      await page.locator('#token-dialog[open]').waitFor()
      await expect.poll(async () => (await focused()).name).toBe('token-value')
      await page.keyboard.press('Escape')
      await page.locator('#token-dialog[open]').waitFor({ state: 'detached' })
      await page.getByRole('button', { name: 'Revoke attic' }).focus()
      await page.keyboard.press('Enter')
      await page.locator('#confirm-dialog[open]').waitFor()
      // The harmless answer comes first.
      await expect.poll(async () => (await focused()).name).toBe('Cancel')
      await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
      await page.getByText('No device yet.').waitFor()
    })

    it('fits and can be read, wide and narrow, in light and dark colours', async () => {
      await start()
      const page = await context.newPage()
      await logIn(page)
      const token = await createDevice(page, 'a-device-with-a-rather-long-name-for-a-small-screen')
      await closeToken(page)
      await createDevice(page, 'attic')
      await closeToken(page)
      const node = runNode(token)
      await page.locator('#nodes tbody tr').waitFor()
      for (const path of ['/nodes', '/keys', '/chat', '/audit', '/users', '/account', '/login', '/nowhere']) {
        await page.goto(program.origin + path)
        if (path !== '/login' && path !== '/nowhere') await live(page)
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
          for (const width of [1100, 360]) {
            await page.setViewportSize({ width, height: 740 })
            await picture(page, `${colorScheme}-${width}-${path.slice(1)}`)
            const { wide, contrasts } = await page.evaluate(measure)
            expect([path, colorScheme, width, wide]).toEqual([path, colorScheme, width, false])
            expect([path, colorScheme, width, contrasts]).toEqual([path, colorScheme, width, []])
          }
        }
      }
      await page.goto(`${program.origin}/nodes`)
      await live(page)
      await createDevice(page, 'cellar')
      await picture(page, 'dark-360-token')
      const { wide, contrasts } = await page.evaluate(measure)
      expect([wide, contrasts]).toEqual([false, []])
      node.stop()
    })

    it('manages users, and the password of the own account', async () => {
      await start()
      const page = await context.newPage()
      await logIn(page)
      await page.getByRole('link', { name: 'Users' }).click()
      await live(page)
      await page.getByLabel('Email').fill('ben@example.com')
      await page.getByLabel('First password').fill('another horse battery')
      await page.getByRole('button', { name: 'Create user' }).click()
      const row = page.locator('#users tbody tr', { hasText: 'ben@example.com' })
      await row.waitFor()
      await picture(page, 'users')
      expect(await page.getByRole('button', { name: `Disable ${admin.email}` }).isDisabled()).toBe(true)
      await page.getByRole('button', { name: `Sessions of ${admin.email}` }).click()
      await page.locator('#sessions-dialog[open] li').waitFor()
      await picture(page, 'users-sessions')
      await page.keyboard.press('Escape')
      await row.getByRole('button', { name: 'Disable ben@example.com' }).click()
      await page.locator('#confirm-dialog[open]').getByRole('button', { name: 'Disable' }).click()
      await row.getByText('Disabled').waitFor()
      await row.getByRole('button', { name: 'Enable ben@example.com' }).click()
      await row.getByText('Enabled').waitFor()

      await page.getByRole('link', { name: 'Account' }).click()
      await live(page)
      await page.getByLabel('Current password').fill('not the password')
      await page.getByLabel('New password').fill('a new horse battery')
      await page.getByRole('button', { name: 'Change password' }).click()
      await page.getByRole('alert').getByText('The current password is wrong.').waitFor()
      await page.getByLabel('Current password').fill(admin.password)
      await page.getByRole('button', { name: 'Change password' }).click()
      await page.getByText('Every other browser is logged out.').waitFor()
      await picture(page, 'account')
      await page.reload()
      await live(page)
      expect(complaints.filter((text) => !text.includes('403'))).toEqual([])
    })

    it('does not shift its layout while it loads', async () => {
      await start()
      const page = await context.newPage()
      await logIn(page)
      await createDevice(page, 'attic')
      await closeToken(page)
      await page.addInitScript(() => {
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) {
            const holder = window as unknown as { shift?: number }
            holder.shift = (holder.shift ?? 0) + (entry as unknown as { value: number }).value
          }
        }).observe({ type: 'layout-shift', buffered: true })
      })
      for (const path of ['/nodes', '/keys', '/chat', '/audit', '/users', '/account', '/login']) {
        await page.goto(program.origin + path, { waitUntil: 'networkidle' })
        const shift = await page.evaluate(() => (window as unknown as { shift?: number }).shift ?? 0)
        expect([path, shift < 0.02]).toEqual([path, true])
      }
    })
  },
)
