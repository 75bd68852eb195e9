import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import puppeteer from 'puppeteer-core'
import { needs } from '../clients/needs.ts'
import { available as hasChromium, launchBrowser, launchProfile } from '../gateway/browser/chromium.ts'

/** A tab of a browser, whichever library drives it. */
export interface Tab {
  goto(url: string): Promise<unknown>
  /** Calls a function in the page. */
  evaluate<A, R>(run: (argument: A) => R | Promise<R>, argument: A): Promise<R>
}

/** A running browser. */
export interface BrowserProgram {
  /** Opens the first tab of a profile of its own, without cookies. */
  newProfile(): Promise<{ newTab(): Promise<Tab>; close(): Promise<unknown> }>
  close(): Promise<unknown>
}

const firefox = '/usr/bin/firefox-esr'

/** Browsers that tests start, by name. They accept every certificate. Firefox is driven by WebDriver BiDi. */
export const browsers: readonly {
  readonly name: string
  /** `Sec-Fetch-Site` that it sends with the upgrade of a page on another port. */
  readonly upgradeSite: string | undefined
  /** Whether it is installed; throws if it is not although it is required, as in CI. */
  has(): boolean
  launch(): Promise<BrowserProgram>
  /**
   * Launches it so that it sends cookies with `SameSite=None` to other sites: Chromium does in ordinary windows, Firefox with
   * its setting for sites that need them. `launch` is stricter: a private window, and the default of Firefox.
   */
  launchLenient(): Promise<BrowserProgram>
}[] = [
  {
    name: 'Chromium',
    upgradeSite: undefined,
    has: () => needs('chromium', hasChromium, 'UPGATE_REQUIRE_BROWSER'),
    async launch() {
      const browser = await launchBrowser()
      return {
        async newProfile() {
          const context = await browser.newContext({ ignoreHTTPSErrors: true })
          return {
            newTab: async () => (await context.newPage()) as unknown as Tab,
            close: () => context.close(),
          }
        },
        close: () => browser.close(),
      }
    },
    async launchLenient() {
      return {
        async newProfile() {
          const folder = mkdtempSync(join(tmpdir(), 'upgate-chromium-'))
          // Debian's package blocks such cookies by default, unlike the browser's own releases.
          mkdirSync(join(folder, 'Default'))
          const preferences = { profile: { cookie_controls_mode: 0, block_third_party_cookies: false } }
          writeFileSync(join(folder, 'Default', 'Preferences'), JSON.stringify(preferences))
          const context = await launchProfile(folder)
          return {
            newTab: async () => (await context.newPage()) as unknown as Tab,
            async close() {
              await context.close()
              rmSync(folder, { recursive: true, force: true })
            },
          }
        },
        close: async () => {},
      }
    },
  },
  {
    name: 'Firefox',
    upgradeSite: 'same-site',
    has: () => needs('firefox-esr', existsSync(firefox), 'UPGATE_REQUIRE_BROWSER'),
    launch: () => launchFirefox({}),
    // 0: accepts all of them, also in pages of other sites.
    launchLenient: () => launchFirefox({ 'network.cookie.cookieBehavior': 0 }),
  },
]

async function launchFirefox(extraPrefsFirefox: Record<string, unknown>): Promise<BrowserProgram> {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: firefox,
    headless: true,
    acceptInsecureCerts: true,
    extraPrefsFirefox,
    timeout: 60_000,
  })
  return {
    async newProfile() {
      const context = await browser.createBrowserContext()
      return {
        newTab: async () => (await context.newPage()) as unknown as Tab,
        close: () => context.close(),
      }
    },
    close: () => browser.close(),
  }
}
