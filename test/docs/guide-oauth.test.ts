/* The snippets of the guide to OAuth, as printed, around a real authorization server (oidc-provider) behind the edge. */

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { createGate, type RuleOptions, type Scheme } from 'upgate'
import { expressGate } from 'upgate/express'
import { type CodeNotRedeemed, type CodeWatch, oauthRules } from 'upgate/oauth'
import { afterEach, expect, it, vi } from 'vitest'
import {
  assistant,
  authorise,
  cleanUp,
  type Parts,
  redeem,
  site,
  start,
} from '../cloudflare/authorization-server.ts'

const guide = readFileSync(new URL('../../docs/guide-oauth.md', import.meta.url), 'utf8')
const snippets = [...guide.matchAll(/^```js\n(.*?)^```/gms)].map(([, code = '']) => code)
const [forRules = '', forScopes = '', forTool = '', forPages = '', ...others] = snippets
const [forEvents = '', forPaths = '', forFilter = ''] = others

const folders: string[] = []
afterEach(() => {
  vi.useRealTimers()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})
cleanUp()

/** Runs a snippet with the names it takes for granted, and answers one that it makes. */
async function run<T>(snippet: string, given: object, made = 'undefined'): Promise<T> {
  const folder = mkdtempSync(fileURLToPath(new URL('tmp-', import.meta.url)))
  folders.push(folder)
  const imports = (snippet.match(/^import .*\n/gm) ?? []).join('')
  const body = snippet.replace(/^import .*\n/gm, '')
  const file = `${folder}/snippet.mjs`
  writeFileSync(
    file,
    `${imports}export default ({ ${Object.keys(given)} }) => {\n${body}\nreturn ${made}\n}\n`,
  )
  const { default: perform } = (await import(file)) as { default: (given: object) => T }
  return perform(given)
}

const nobody: Scheme = {
  name: 'nobody',
  ambient: false,
  verify: () => ({ outcome: 'rejected', code: 'invalid_credential', reason: 'nobody' }),
}

/** Rules and watch of the guide. Its time is the system's, which the test moves. */
async function startAsPrinted(attach: (parts: Parts, log: object) => Promise<CodeWatch>) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  const warnings: Pick<CodeNotRedeemed, 'clientId' | 'count' | 'advice'>[] = []
  const log = { warn: (event: CodeNotRedeemed) => warnings.push(event) }
  const started = await start({
    rules: await run<RuleOptions[]>(forRules, { createGate, schemes: [nobody] }, 'rules'),
    async watch(parts) {
      const watch = await attach(parts, log)
      return () => watch.close()
    },
  })
  return { ...started, warnings }
}

const byEvents = ({ provider }: Parts, log: object) => run<CodeWatch>(forEvents, { provider, log }, 'watch')

it('the rules: the answer of a resource is the one printed, and the paths of machines are public', async () => {
  const { sim } = await startAsPrinted(byEvents)
  const answer = await sim.fetch(`${site}/mcp`, { headers: assistant, redirect: 'manual' })
  const [, status, challenge] = /^HTTP\/1\.1 (\d+) .*\nWWW-Authenticate: (.*)$/m.exec(guide) ?? []
  expect([String(answer.status), answer.headers.get('www-authenticate')]).toEqual([status, challenge])
  for (const path of ['/.well-known/oauth-authorization-server', '/.well-known/jwks.json'])
    expect((await sim.fetch(site + path, { headers: assistant })).status, path).toBe(200)
})

it('the watch by events: advice from the second code on that the filter of the guide keeps from being redeemed', async () => {
  const started = await startAsPrinted(byEvents)
  expect((await redeem(started, await authorise(started))).status).toBe(200)
  await run(forFilter, { sim: started.sim })
  for (const count of [1, 2]) {
    expect((await redeem(started, await authorise(started))).status).toBe(403)
    vi.advanceTimersByTime(60_000)
    expect(started.warnings.at(-1)).toMatchObject({ clientId: 'assistant', count })
  }
  expect(started.warnings.map(({ advice }) => advice !== undefined)).toEqual([false, true])
})

it('the watch from outside sees the same', async () => {
  const started = await startAsPrinted(async ({ app }, log) => {
    const watch = await run<CodeWatch>(forEvents.replace(/^provider\..*$/gm, ''), { log }, 'watch')
    app.use(express.urlencoded({ extended: false }))
    await run(forPaths, { app, watch })
    return watch
  })
  expect((await redeem(started, await authorise(started))).status).toBe(200)
  vi.advanceTimersByTime(60_000)
  expect(started.warnings).toEqual([])
  await run(forFilter, { sim: started.sim })
  await redeem(started, await authorise(started))
  vi.advanceTimersByTime(60_000)
  expect(started.warnings).toMatchObject([{ count: 1 }])
})

it('asks a client for the scopes of a tool, and lets pages of every origin read it', async () => {
  const rules = await run<RuleOptions[]>(forScopes, { oauthRules }, 'rules')
  const reader: Scheme = {
    ...nobody,
    challenge: 'Bearer',
    extract: () => ({
      credential: { type: 'token', source: 'header', value: 'x' },
      location: 'authorization',
    }),
    verify: () => ({
      outcome: 'authenticated',
      principal: {
        kind: 'user',
        id: 'ada',
        scheme: 'nobody',
        scopes: ['files.read'],
        roles: [],
        attributes: {},
      },
    }),
  }
  const gate = createGate({
    schemes: [reader],
    rules: [...rules, ...(await run<RuleOptions[]>(forPages, {}, 'rules'))],
  })
  const app = express()
  app.use(expressGate(gate))
  await run(forTool, { app, gate, expressGate })
  app.use((_request, response) => void response.json('reached'))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const origin = 'https://inspector.example.net'
  try {
    expect((await fetch(`${base}/mcp`)).status).toBe(200)
    const tool = await fetch(`${base}/mcp`, { headers: { 'mcp-name': 'write-file' } })
    expect([tool.status, tool.headers.get('www-authenticate')]).toEqual([
      403,
      expect.stringContaining('scope="files.read files.write"'),
    ])
    const page = await fetch(`${base}/api/public/x`, { method: 'POST', headers: { origin } })
    expect([page.status, page.headers.get('access-control-allow-origin')]).toEqual([200, '*'])
  } finally {
    server.close()
    gate.close()
  }
})

it('every snippet of the guide is run here', () => {
  expect(snippets).toHaveLength(7)
})
