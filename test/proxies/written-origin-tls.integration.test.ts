// Needs Debian's nginx, chromium and firefox-esr.
/*
 * A login cookie with SameSite=None, as embedded applications have it, over TLS: browsers send it with WebSockets of pages of
 * all other sites. The Origin alone keeps them out, as long as no proxy writes it.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { certificate } from '../diagnosis/certificates.ts'
import { type BrowserProgram, browsers } from './browsers.ts'
import { type CookieStage, startCookieStage } from './cookie-page.ts'
import { printed } from './guide.ts'
import { post, talk, talkByTicket } from './pages.ts'
import { hasProxy } from './programs.ts'

const { key, cert } = await certificate()

/** The recipe of the guide over TLS. */
function overTls(port: number, upstream: number, folder: string): string {
  writeFileSync(join(folder, 'key.pem'), key)
  writeFileSync(join(folder, 'cert.pem'), cert)
  return printed('nginx', port, upstream).replace(
    /listen (.*);/,
    `listen $1 ssl;\n  ssl_certificate ${folder}/cert.pem;\n  ssl_certificate_key ${folder}/key.pem;`,
  )
}

/** The same with the line that the guide warns of. */
const withTheLine: typeof overTls = (...values) =>
  overTls(...values).replace(
    'proxy_set_header Host',
    'proxy_set_header Origin https://$http_host;\n    proxy_set_header Host',
  )

for (const { name, has, launchLenient, upgradeSite } of browsers) {
  describe.skipIf(!has() || !hasProxy('nginx'))(`a login cookie with SameSite=None, in ${name}`, () => {
    let browser: BrowserProgram
    let stage: CookieStage
    let profile: Awaited<ReturnType<BrowserProgram['newProfile']>>
    beforeAll(async () => {
      browser = await launchLenient()
    })
    afterAll(() => browser?.close())
    afterEach(async () => {
      await profile?.close()
      await stage?.close()
    })

    async function pages(configure: typeof overTls) {
      stage = await startCookieStage('https', configure)
      profile = await browser.newProfile()
      const own = await profile.newTab()
      await own.goto(`${stage.origin}/login/None`)
      const stranger = await profile.newTab()
      await stranger.goto(stage.crossSite)
      return { own, stranger }
    }
    const refusals = () => stage.events.flatMap((event) => (event.type === 'refused' ? [event.code] : []))

    it('keeps pages of another site out with the recipe of the guide, whose Origin is foreign', async () => {
      const { own, stranger } = await pages(overTls)
      expect(await own.evaluate(talk, `${stage.origin}/plain`)).toBe('you are ada')
      expect(await stranger.evaluate(talk, `${stage.origin}/plain`)).toBe('closed 1006')
      expect(await stranger.evaluate(talk, `${stage.origin}/by-ticket`)).toBe('closed 4401')
      await stranger.evaluate(post, `${stage.origin}/save`)
      expect(refusals()).toEqual(['origin_refused', 'auth_required', 'origin_refused'])
      expect(stage.saved).toEqual([])
      expect(await own.evaluate(talkByTicket, stage.origin)).toBe('you are ada')
    })

    it('opens plain WebSockets to them where a proxy writes Origin; no POST, and none that demands a ticket', async () => {
      const { own, stranger } = await pages(withTheLine)
      expect(await own.evaluate(talk, `${stage.origin}/plain`)).toBe('you are ada')
      expect(await stranger.evaluate(talk, `${stage.origin}/plain`)).toBe('you are ada')
      // Firefox says it; a rule that only one browser keeps would be none.
      const said = upgradeSite === undefined ? [undefined, undefined] : ['same-origin', 'cross-site']
      expect(stage.upgradeSites).toEqual(said)
      expect(await stranger.evaluate(talk, `${stage.origin}/by-ticket`)).toBe('closed 4401')
      await stranger.evaluate(post, `${stage.origin}/save`)
      await stranger.evaluate(post, `${stage.origin}/tickets`)
      expect(refusals()).toEqual(['auth_required', 'origin_refused', 'origin_refused'])
      expect(stage.saved).toEqual([])
      expect(stage.lines.filter((line) => line === 'A proxy seems to write Origin.')).toHaveLength(1)
      expect(await own.evaluate(talkByTicket, stage.origin)).toBe('you are ada')
    })
  })
}
