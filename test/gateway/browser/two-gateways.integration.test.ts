// Needs Debian's chromium.
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { startForwarder } from '../../../examples/two-gateways/src/forwarder.ts'
import { needs } from '../../clients/needs.ts'
import { admin, type DataDir, endAll, type Program, startProgram, temporaryDataDir } from '../program.ts'
import { loggedIn } from '../visitor.ts'
import { available, launchBrowser, picture } from './chromium.ts'

// Two gateways in one browser, each made a node of the other by its pages; one is behind a forwarded port.

const folders: DataDir[] = []
let browser: Browser | undefined
beforeAll(async () => {
  if (available) browser = await launchBrowser()
})
afterEach(async () => {
  await endAll()
  for (const folder of folders.splice(0)) folder.remove()
})
afterAll(() => browser?.close())

async function start(): Promise<Program> {
  const folder = temporaryDataDir()
  folders.push(folder)
  return startProgram({ dataDir: folder.path, env: { REMOTE_ALLOW: 'loopback' } })
}

/** Opens a page of one gateway. Cookies do not know ports, so each gateway gets a host name. */
async function open(origin: string, path: string): Promise<Page> {
  const [context] = (browser as Browser).contexts()
  const page = await (context ?? (await (browser as Browser).newContext({ locale: 'en-GB' }))).newPage()
  await page.goto(`${origin}/login?next=${encodeURIComponent(path)}`)
  if (page.url().includes('/login')) {
    await page.getByLabel('Email').fill(admin.email)
    await page.getByLabel('Password', { exact: true }).fill(admin.password)
    await page.keyboard.press('Enter')
    await page.waitForURL(`**${path}`)
  }
  await page.locator('#live[data-state=on]').waitFor()
  return page
}

/** Makes one gateway a node of the other, as a person does it: with both pages open. */
async function pairByPages(hostOrigin: string, nodeOrigin: string, url: string, name: string): Promise<void> {
  const host = await open(hostOrigin, '/nodes')
  await host.getByRole('button', { name: 'Create a code' }).click()
  await host.locator('#code-dialog[open]').waitFor()
  const code = await host.getByLabel('Code', { exact: true }).inputValue()
  await host.getByRole('button', { name: 'Done' }).click()
  const node = await open(nodeOrigin, '/remote')
  await node.getByLabel('URL').fill(url)
  await node.getByLabel('Token or pairing code').fill(code)
  await node.getByRole('button', { name: 'Connect', exact: true }).click()
  const row = host.locator('#pairings tbody tr')
  await row.waitFor()
  const shown = (await row.locator('[data-f=comparisonCode]').textContent()) ?? ''
  expect(shown).toMatch(/^[0-9A-Z]{6}$/)
  await node.getByText(shown).first().waitFor()
  await picture(node, `two-gateways-${name}-node`)
  await host.getByRole('button', { name: new RegExp(`^Approve .*${shown}`) }).click()
  await host.getByLabel('Six characters that the device shows').fill(shown)
  await host.locator('#approve-dialog').getByRole('button', { name: 'Approve' }).click()
  await host.locator('#nodes tbody tr').waitFor()
  await node.locator('#state[data-state=connected]').waitFor()
  await picture(host, `two-gateways-${name}-host`)
  await Promise.all([host.close(), node.close()])
}

it.skipIf(!needs('chromium', available, 'UPGATE_REQUIRE_BROWSER'))(
  'two gateways pair both ways by their pages, one through a forwarded port',
  async () => {
    const [east, west] = await Promise.all([start(), start()])
    const tunnel = await startForwarder(0, Number(new URL(west.origin).port))
    // The same gateway under its other name.
    const westPages = west.origin.replace('127.0.0.1', 'localhost')
    await pairByPages(westPages, east.origin, `ws://127.0.0.1:${tunnel.port}/ws`, 'east')
    await pairByPages(east.origin, westPages, `${east.origin.replace('http', 'ws')}/ws`, 'west')
    const [ofEast, ofWest] = await Promise.all([loggedIn(east.origin), loggedIn(west.origin)])
    expect(await ofEast.nodes()).toMatchObject([{ role: 'node' }])
    expect(await ofWest.nodes()).toMatchObject([{ role: 'node' }])
    await tunnel.cut()
  },
  300_000,
)
