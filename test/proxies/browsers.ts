import { existsSync } from 'node:fs'
import puppeteer from 'puppeteer-core'
import { needs } from '../clients/needs.ts'
import { available as hasChromium, launchBrowser } from '../gateway/browser/chromium.ts'

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

/** Browsers that tests start, by name. Firefox is driven by WebDriver BiDi. */
export const browsers: readonly {
  readonly name: string
  /** `Sec-Fetch-Site` that it sends with the upgrade of a page on another port. */
  readonly upgradeSite: string | undefined
  /** Whether it is installed; throws if it is not although it is required, as in CI. */
  has(): boolean
  launch(): Promise<BrowserProgram>
}[] = [
  {
    name: 'Chromium',
    upgradeSite: undefined,
    has: () => needs('chromium', hasChromium, 'UPGATE_REQUIRE_BROWSER'),
    async launch() {
      const browser = await launchBrowser()
      return {
        async newProfile() {
          const context = await browser.newContext()
          return {
            newTab: async () => (await context.newPage()) as unknown as Tab,
            close: () => context.close(),
          }
        },
        close: () => browser.close(),
      }
    },
  },
  {
    name: 'Firefox',
    upgradeSite: 'same-site',
    has: () => needs('firefox-esr', existsSync(firefox), 'UPGATE_REQUIRE_BROWSER'),
    async launch() {
      const browser = await puppeteer.launch({
        browser: 'firefox',
        executablePath: firefox,
        headless: true,
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
    },
  },
]
