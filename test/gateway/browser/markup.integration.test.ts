// Needs Debian's chromium.
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { createServices } from 'upgate'
import { sqliteStore } from 'upgate/sql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../../clients/needs.ts'
import { runNode } from '../node.ts'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from '../program.ts'
import { Visitor } from '../visitor.ts'
import { available, launchBrowser } from './chromium.ts'

const password = 'correct horse battery'
// No white space: addresses of accounts hold none.
const email = `"><img/data-evil/src=x/onerror=document.title='evil'>@example.com`

/** Ends an attribute, an element, a script and a style, and begins markup that would run. */
function evil(mark: string): string {
  return `${mark}'"></title></script></style><img data-evil src=x onerror="document.title='evil'">`
}

/** The same within the 64 characters of a name in the API. */
function short(mark: string): string {
  return `${mark}'"><img data-evil src=x onerror=document.title='evil'>`
}

/** Runs in the page: finds traces that foreign markup would have left. */
function traces() {
  return {
    elements: document.querySelectorAll('[data-evil], img, iframe, object, script:not([src^="/assets/"])')
      .length,
    handlers: Array.from(document.querySelectorAll('*')).filter((element) =>
      Array.from(element.attributes).some(({ name }) => name.startsWith('on')),
    ).length,
    title: document.title,
  }
}

/**
 * Names and labels come from devices, browsers and strangers, and administrators see them. Each is stored
 * once as markup, through the input that accepts the longest text, and looked for on every page: rendered by
 * the server, and added live by the page's module.
 */
describe.skipIf(!needs('chromium', available, 'UPGATE_REQUIRE_BROWSER'))(
  'stored markup stays text',
  { timeout: 300_000 },
  () => {
    let browser: Browser
    let data: DataDir
    let program: Program
    let page: Page
    let visitor: Visitor
    const complaints: string[] = []

    beforeAll(async () => {
      data = temporaryDataDir()
      // Created with the library: the gateway's set-up page accepts such an address, its settings do not.
      const store = await sqliteStore({ file: join(data.path, 'gateway.db') })
      const services = createServices({ store })
      await services.accounts.createFirst({
        email,
        password,
        roles: ['admin'],
        scopes: ['operator.read', 'operator.write', 'operator.admin', 'operator.pairing'],
      })
      await services.devices.create({ name: evil('stored-device') })
      await services.keys.create({ name: evil('stored-key'), scopes: [`<img/data-evil/src=x>`] })
      services.close()
      await store.close()

      program = await startProgram({
        dataDir: data.path,
        // The account above has a real hash.
        realHashes: true,
        env: { ADMIN_EMAIL: undefined, ADMIN_PASSWORD: undefined },
      })
      visitor = new Visitor(program.origin)
      const login = await visitor.post(
        '/api/auth/login',
        { email, password },
        { headers: { 'user-agent': evil('Firefox/1 Linux') } },
      )
      expect(login.status).toBe(204)
      visitor.cookie = login.header('set-cookie')?.split(';')[0]

      browser = await launchBrowser()
      const context = await browser.newContext()
      context.on('console', (message) => complaints.push(message.text()))
      context.on('weberror', (error) => complaints.push(String(error.error())))
      page = await context.newPage()
      await page.goto(`${program.origin}/login`)
      // The field is of type email, which the browser would check.
      await page.locator('form').evaluate((form: HTMLFormElement) => {
        form.noValidate = true
      })
      await page.getByLabel('Email').fill(email)
      await page.getByLabel('Password', { exact: true }).fill('not the password')
      await page.getByRole('button', { name: 'Log in' }).click()
      // The form is shown again, with the address in it.
      await page.getByRole('alert').waitFor()
      expect(await page.getByLabel('Email').inputValue()).toBe(email)
      expect(await page.evaluate(traces)).toEqual({ elements: 0, handlers: 0, title: 'Log in · Gateway' })
      await page.locator('form').evaluate((form: HTMLFormElement) => {
        form.noValidate = true
      })
      await page.getByLabel('Password', { exact: true }).fill(password)
      await page.getByRole('button', { name: 'Log in' }).click()
      await page.waitForURL('**/nodes')
    })
    afterAll(async () => {
      await browser?.close()
      await endAll()
      data?.remove()
    })

    const live = () => page.locator('#live[data-state=on]').waitFor()

    /** Checks that the page is clean, and shows this text unchanged. */
    async function shows(selector: string, text: string, title: string): Promise<void> {
      await page.locator(selector, { hasText: text }).first().waitFor()
      expect(await page.evaluate(traces)).toEqual({ elements: 0, handlers: 0, title: `${title} · Gateway` })
      expect(await page.locator('.who-name').textContent()).toBe(email)
    }

    it('names of devices, and of nodes that are connected', async () => {
      await page.goto(`${program.origin}/nodes`)
      await live()
      await shows('#devices [data-f=name]', evil('stored-device'), 'Nodes')
      const name = short('live')
      const device = await visitor.device(name)
      const node = runNode([`${program.origin.replace('http', 'ws')}/ws`], { UPGATE_TOKEN: device.token })
      try {
        await shows('#nodes [data-f=name]', name, 'Nodes')
        await shows('#devices [data-f=name]', name, 'Nodes')
        // As the server renders them.
        await page.reload()
        await live()
        await shows('#nodes [data-f=name]', name, 'Nodes')
        await page.getByRole('button', { name: `Revoke ${name}` }).click()
        await shows('#confirm-name', name, 'Nodes')
        await page.getByRole('button', { name: 'Cancel' }).click()
      } finally {
        node.kill('SIGKILL')
      }
      await page.getByLabel('Name of the new device').fill(short('typed'))
      await page.getByRole('button', { name: 'Create device' }).click()
      await shows('#token-name', short('typed'), 'Nodes')
      await page.getByRole('button', { name: 'Done' }).click()
    })

    it('names of devices that ask to be paired', async () => {
      await page.goto(`${program.origin}/nodes`)
      await live()
      const { code } = (await visitor.post('/api/pairings/codes', { scopes: ['operator.read'] })).json()
      const name = `<img data-evil src=x onerror=document.title='evil'>`
      const node = runNode(
        [
          ...['--key-file', `${data.path}/node.json`, '--name', name, '--scopes', 'operator.read'],
          `${program.origin.replace('http', 'ws')}/ws`,
        ],
        { UPGATE_CODE: String(code) },
      )
      try {
        // Names longer than fifty characters are cut.
        const shown = name.slice(0, 50).trim()
        await shows('#pairings [data-f=name]', shown, 'Nodes')
        await page.reload()
        await live()
        await shows('#pairings [data-f=name]', shown, 'Nodes')
        await page.getByRole('button', { name: `Approve ${shown}` }).click()
        await shows('#approve-name', shown, 'Nodes')
        await page.getByRole('button', { name: 'Cancel' }).click()
      } finally {
        node.kill('SIGKILL')
      }
    })

    it('names and scopes of keys', async () => {
      await page.goto(`${program.origin}/keys`)
      await live()
      await shows('#keys [data-f=name]', evil('stored-key'), 'API keys')
      await shows('#keys .tag', '<img/data-evil/src=x>', 'API keys')
      await visitor.key(['operator.read'], short('key'))
      await shows('#keys [data-f=name]', short('key'), 'API keys')
    })

    it('labels of sessions', async () => {
      await page.goto(`${program.origin}/account`)
      await live()
      await shows('#sessions [data-f=name]', 'Firefox on Linux', 'Account')
      // No answer contains the User-Agent: only the words derived from it appear in the table.
      for (const path of ['/account', '/api/sessions'])
        expect((await visitor.get(path)).text).not.toContain('data-evil src')
    })

    it('what people write in the chat', async () => {
      await page.goto(`${program.origin}/chat`)
      await page.locator('#presence', { hasText: 'here' }).waitFor()
      await page.locator('#say-text').fill(evil('said'))
      await page.keyboard.press('Enter')
      await shows('#messages [data-f=text]', evil('said'), 'Chat')
      await page.reload()
      await shows('#messages [data-f=text]', evil('said'), 'Chat')
    })

    it('rows of the audit page, with any request of strangers', async () => {
      const ask = (target: string): Promise<void> =>
        new Promise((resolve) => {
          const { hostname, port } = new URL(program.origin)
          const socket = connect(Number(port), hostname)
          socket.end(`GET ${target} HTTP/1.1\r\nhost: ${hostname}:${port}\r\nconnection: close\r\n\r\n`)
          socket.resume().on('close', () => resolve())
        })
      await ask(`/api/earlier'"></script><img/data-evil/src=x/onerror=document.title='evil'>`)
      await page.goto(`${program.origin}/audit`)
      await live()
      await shows('#audit [data-f=what]', `/api/earlier'"></script><img/data-evil`, 'Audit')
      await ask(`/api/later'"></script><img/data-evil/src=x/onerror=document.title='evil'>`)
      await shows('#audit [data-f=what]', `/api/later'"></script><img/data-evil`, 'Audit')
      await shows('#audit [data-f=who]', email, 'Audit')
      await shows('#audit [data-f=what]', short('live'), 'Audit')
    })

    it('does not depend on the content policy, and every answer names its type', async () => {
      // A violation would be an error of the page: the policy is the second defence, and was never needed.
      expect(complaints.filter((text) => !/401|WebSocket/.test(text))).toEqual([])
      for (const path of [
        '/api/devices',
        '/api/keys',
        '/api/sessions',
        '/api/pairings',
        '/api/nodes',
        '/api/me',
      ]) {
        const answer = await visitor.get(path)
        expect([path, answer.header('content-type'), answer.header('x-content-type-options')]).toEqual([
          path,
          'application/json; charset=utf-8',
          'nosniff',
        ])
      }
      // The log holds no characters that would control a terminal either.
      expect(program.output().replaceAll('\n', '')).toMatch(/^[\x20-\x7e\u00a0-\uffff]*$/)
    })
  },
)
