// Needs Debian's nginx, chromium and firefox-esr.
/*
 * nginx with the recipe that writes `Origin`, in front of an application with a cookie. A page of another site counts as
 * the application's own then: over HTTP the browser's word wins, on WebSockets there is none.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type BrowserProgram, browsers, type Tab } from './browsers.ts'
import { type CookieStage, startCookieStage } from './cookie-page.ts'
import { printed } from './guide.ts'
import { post, talk, talkByTicket } from './pages.ts'
import { hasProxy } from './programs.ts'

/** The recipe of the guide, and the line that it warns of. */
const withTheLine = (port: number, upstream: number): string =>
  printed('nginx', port, upstream).replace(
    'proxy_set_header Host',
    'proxy_set_header Origin http://$http_host;\n    proxy_set_header Host',
  )

for (const { name, upgradeSite, has, launch } of browsers) {
  describe.skipIf(!has() || !hasProxy('nginx'))(`a proxy that writes Origin, and ${name}`, () => {
    let browser: BrowserProgram
    let stage: CookieStage
    let profile: Awaited<ReturnType<BrowserProgram['newProfile']>>
    beforeAll(async () => {
      browser = await launch()
    })
    afterAll(() => browser?.close())
    beforeEach(async () => {
      stage = await startCookieStage('http', withTheLine)
      profile = await browser.newProfile()
    })
    afterEach(async () => {
      await profile?.close()
      await stage?.close()
    })

    async function loggedIn(sameSite: 'Lax' | 'Strict'): Promise<Tab> {
      const tab = await profile.newTab()
      await tab.goto(`${stage.origin}/login/${sameSite}`)
      return tab
    }

    async function strangerAt(url: string): Promise<Tab> {
      const tab = await profile.newTab()
      await tab.goto(url)
      return tab
    }

    it("lets the application's own page in, and warns once of the navigations", async () => {
      const own = await loggedIn('Lax')
      await own.evaluate(post, `${stage.origin}/save`)
      expect(stage.saved).toEqual(['same-origin'])
      expect(await own.evaluate(talk, `${stage.origin}/plain`)).toBe('you are ada')
      expect(await own.evaluate(talkByTicket, stage.origin)).toBe('you are ada')
      await loggedIn('Lax')
      const warned = stage.lines.filter((line) => line === 'A proxy seems to write Origin.')
      expect(warned).toHaveLength(1)
    })

    it.each(['crossSite', 'sameSite'] as const)("refuses a stranger's POST (%s)", async (where) => {
      await loggedIn('Lax')
      const stranger = await strangerAt(stage[where])
      await stranger.evaluate(post, `${stage.origin}/save`)
      await stranger.evaluate(post, `${stage.origin}/tickets`)
      expect(stage.saved).toEqual([])
      const refused = stage.events.filter((event) => event.type === 'refused')
      expect(refused.map(({ code }) => code)).toEqual(['origin_refused', 'origin_refused'])
      expect(refused[0]?.reason).toContain('a proxy writes Origin')
    })

    it("lets the WebSocket of a neighbour's page in by any cookie, and not where the rule demands a ticket", async () => {
      for (const sameSite of ['Lax', 'Strict'] as const) {
        await loggedIn(sameSite)
        const near = await strangerAt(stage.sameSite)
        const said = await near.evaluate(talk, `${stage.origin}/plain`)
        expect([sameSite, said]).toEqual([sameSite, 'you are ada'])
        expect(await near.evaluate(talk, `${stage.origin}/by-ticket`)).toBe('closed 4401')
      }
      expect(stage.upgradeSites).toEqual([upgradeSite, upgradeSite])
      // Of a navigation, not of the upgrades.
      expect(stage.lines.filter((line) => line === 'A proxy seems to write Origin.')).toHaveLength(1)
    })

    it('is kept off by SameSite where the stranger is of another site', async () => {
      for (const sameSite of ['Lax', 'Strict'] as const) {
        await loggedIn(sameSite)
        const other = await strangerAt(stage.crossSite)
        const said = await other.evaluate(talk, `${stage.origin}/plain`)
        expect([sameSite, said]).toEqual([sameSite, 'closed 4401'])
      }
    })
  })
}
