// Needs Debian's chromium.
import { createEdgeSim, type EdgeSim } from '@upgate/edge-sim'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { manualClock } from 'upgate/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { needs } from '../../clients/needs.ts'
import { type DataDir, endAll, type Program, startProgram, temporaryDataDir } from '../program.ts'
import { available, launchBrowser, measure, picture } from './chromium.ts'

describe.skipIf(!needs('chromium', available, 'UPGATE_REQUIRE_BROWSER'))(
  'in a browser, behind Cloudflare Access',
  { timeout: 300_000 },
  () => {
    let browser: Browser
    let data: DataDir
    let sim: EdgeSim
    let clock: ReturnType<typeof manualClock>
    let program: Program
    let context: BrowserContext
    let page: Page
    let site: string
    /** Errors of the pages: policy violations, failed scripts, refused requests. */
    let complaints: string[]

    beforeAll(async () => {
      browser = await launchBrowser()
    })
    afterAll(() => browser?.close())

    beforeEach(async () => {
      data = temporaryDataDir()
      // A clock for the edge, so that tests can skip its half minute after a logout.
      clock = manualClock(Date.now())
      sim = createEdgeSim({
        clock,
        urls: 'loopback',
        users: [
          { email: 'ada@example.com', name: 'Ada' },
          { email: 'bob@example.com', name: 'Bob' },
        ],
        applications: [{ name: 'gateway', host: 'localhost', policies: [{ action: 'allow' }] }],
      })
      await sim.start()
      site = `http://localhost:${sim.port}`
      program = await startProgram({
        dataDir: data.path,
        env: {
          PUBLIC_URL: site,
          TRUST_PROXY: 'loopback',
          ADMIN_PASSWORD: undefined,
          CF_ACCESS_TEAM: 'acme',
          CF_ACCESS_AUD: sim.application('gateway').aud,
          CF_ACCESS_SIMULATOR: sim.url,
        },
      })
      const [, address = ''] = await program.printed(/^Listening on (\S+)\n/m)
      sim.addHost('localhost', `http://${address}`)
      complaints = []
      context = await browser.newContext({ viewport: { width: 1100, height: 800 }, locale: 'en-GB' })
      context.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text())
      })
      context.on('weberror', (error) => complaints.push(String(error.error())))
      page = await context.newPage()
    })
    afterEach(async () => {
      await context?.close()
      await endAll()
      await sim?.stop()
      data.remove()
    })

    const live = () => page.locator('#live[data-state=on]').waitFor()
    const loginPage = () => page.getByText('Simulated Cloudflare Access')

    /** Opens the site and chooses a user on the login page that the edge redirects to. */
    async function logInAs(name: string): Promise<void> {
      await page.goto(site)
      expect(new URL(page.url()).hostname).toBe('acme.cloudflareaccess.com.localhost')
      await page.getByRole('button', { name: new RegExp(`^${name}`) }).click()
      await page.waitForURL(`${site}/**`)
    }

    /**
     * Checks the page wide and narrow, in light and dark colours: saves pictures, and finds text that does
     * not fit or cannot be read.
     */
    async function looks(name: string): Promise<void> {
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        for (const width of [1100, 360]) {
          await page.setViewportSize({ width, height: 740 })
          await picture(page, `access-${name}-${colorScheme}-${width}`)
          expect(await page.evaluate(measure), `${name} ${colorScheme} ${width}`).toEqual({
            wide: false,
            contrasts: [],
          })
        }
      }
      await page.setViewportSize({ width: 1100, height: 800 })
    }

    it('logs in at the edge, shows it on every page, and logs out there: then the login has ended', async () => {
      await logInAs('Ada')
      expect(new URL(page.url()).pathname).toBe('/nodes')
      await live()
      for (const path of ['/nodes', '/keys', '/chat', '/audit']) {
        await page.goto(site + path)
        await live()
        const who = page.locator('#external-login')
        expect(await who.textContent(), path).toMatch(/ada@example\.com\s*via Cloudflare Access/)
        const logOut = who.getByRole('link', { name: 'Log out' })
        expect(await logOut.getAttribute('href'), path).toBe('/cdn-cgi/access/logout')
        expect(await page.getByRole('button', { name: 'Log out' }).count(), path).toBe(0)
        await looks(path.slice(1))
      }
      // Sessions are the edge's: there is no page for them.
      expect(await page.getByRole('link', { name: 'Account' }).count()).toBe(0)
      expect(complaints).toEqual([])

      const cookies = await context.cookies(site)
      expect(cookies.map(({ name }) => name)).toContain('CF_Authorization')
      await page.getByRole('link', { name: 'Log out' }).click()
      await page.getByRole('heading', { name: 'You are logged out' }).waitFor()
      expect((await context.cookies(site)).map(({ name }) => name)).not.toContain('CF_Authorization')
      clock.advance(30_000)
      await page.goto(`${site}/nodes`)
      await loginPage().waitFor()
      // Neither the back button nor the former cookie admits the browser again.
      await context.addCookies(cookies)
      await page.goto(`${site}/nodes`)
      await loginPage().waitFor()
      expect(new URL(page.url()).hostname).toBe('acme.cloudflareaccess.com.localhost')
    })

    it('a page that is open when the login ends redirects to the edge, not to our own login', async () => {
      await logInAs('Ada')
      await live()
      sim.logOut('ada@example.com')
      clock.advance(30_000)
      // Either the click or the page's own polling is refused first.
      const click = page.getByRole('link', { name: 'API keys' }).click()
      click.catch(() => {})
      await loginPage().waitFor()
    })

    it('our own login, logout and setup answer 403 with the reason', async () => {
      await logInAs('Ada')
      for (const path of ['/login', '/setup']) {
        const answer = await page.goto(site + path)
        expect([answer?.status(), answer?.headers()['upgate-refusal']], path).toEqual([
          403,
          expect.stringMatching(/^external_login/),
        ])
        await page.getByText('the login is done elsewhere').waitFor()
        expect(await page.locator('input').count(), path).toBe(0)
        await looks(path.slice(1))
      }
      await page.goto(site)
      const loggedOut = await page.evaluate(async () => (await fetch('/logout', { method: 'POST' })).status)
      expect(loggedOut).toBe(403)
      const config = await page.evaluate(async () => (await fetch('/api/auth/config')).json())
      expect(config).toMatchObject({ login: 'external', logoutUrl: '/cdn-cgi/access/logout' })
    })

    it('a person with an Access login but no account sees the reason', async () => {
      await page.goto(site)
      await page.getByRole('button', { name: /^Bob/ }).click()
      await page.getByText('nobody here is known by it').waitFor()
      expect(new URL(page.url()).host).toBe(new URL(site).host)
      await looks('unknown')
      // Access would send the same person again: the page offers to log out of it.
      await page.getByRole('link', { name: 'Log out of Cloudflare Access' }).click()
      clock.advance(30_000)
      await logInAs('Ada')
      await live()
    })
  },
)
