import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

const executablePath = '/usr/bin/chromium'

/** Whether a browser for the tests is installed. */
export const available: boolean = existsSync(executablePath)
if (!available) console.warn(`Browser tests are left out: there is no ${executablePath}.`)

/** Folder for pictures of the pages, if any. */
const pictures = process.env.UPGATE_SCREENSHOTS
if (pictures !== undefined) mkdirSync(pictures, { recursive: true })

/** Saves a picture of a page, if `UPGATE_SCREENSHOTS` names a folder. */
export async function picture(page: Page, name: string): Promise<void> {
  if (pictures !== undefined) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })
}

/** How tests launch Chromium: it makes no requests by itself. */
const options = {
  executablePath,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
}

/** Launches a browser, whose contexts are private windows. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch(options)
}

/** Launches a browser with the one profile of a folder, whose windows are ordinary ones. It accepts every certificate. */
export function launchProfile(folder: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(folder, { ...options, ignoreHTTPSErrors: true })
}

/** Runs in the page: whether it scrolls sideways, and texts with less contrast than WCAG AA demands (4.5). */
export function measure(): { wide: boolean; contrasts: string[] } {
  const parse = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number)
  const luminance = (color: number[]) => {
    const [r = 0, g = 0, b = 0] = color.map((part) => {
      const value = part / 255
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  // The background below everything follows the colour scheme.
  const probe = document.body.appendChild(document.createElement('div'))
  probe.style.backgroundColor = 'Canvas'
  const canvas = parse(getComputedStyle(probe).backgroundColor)
  probe.remove()
  const behind = (element: Element | null): number[] => {
    for (let at = element; at !== null; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor)
      if (color.length === 3 || color[3] === 1) return color.slice(0, 3)
    }
    return canvas
  }
  const contrasts: string[] = []
  for (const element of Array.from(document.querySelectorAll('body *'))) {
    const text = Array.from(element.childNodes).some(
      (node) => node.nodeType === 3 && node.textContent?.trim() !== '',
    )
    const { width } = element.getBoundingClientRect()
    if (!text || width < 2 || getComputedStyle(element).visibility !== 'visible') continue
    const [light, dark] = [
      luminance(parse(getComputedStyle(element).color).slice(0, 3)),
      luminance(behind(element)),
    ].sort((a, b) => b - a) as [number, number]
    const contrast = (light + 0.05) / (dark + 0.05)
    if (contrast < 4.5)
      contrasts.push(`${element.tagName} ${element.textContent?.trim().slice(0, 30)} ${contrast.toFixed(2)}`)
  }
  return { wide: document.documentElement.scrollWidth > document.documentElement.clientWidth, contrasts }
}
