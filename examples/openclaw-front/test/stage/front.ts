import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../src/config.ts'
import { type Front, startFront } from '../../src/front.ts'
import { readSettings } from '../../src/settings.ts'

/** The first account. */
export const admin = { email: 'ada@example.com', password: 'correct horse battery' }

export interface StageFront {
  readonly front: Front
  readonly log: string[]
  close(): Promise<void>
}

/** Starts a front with the settings of the environment, in front of a gateway on loopback. */
export async function startStageFront(
  upstreamPort: number,
  env: Readonly<Record<string, string>> = {},
): Promise<StageFront> {
  const folder = mkdtempSync(join(tmpdir(), 'openclaw-front-'))
  const given = readSettings([], {
    PORT: '0',
    DATA_DIR: join(folder, 'data'),
    UPSTREAM_URL: `http://127.0.0.1:${upstreamPort}`,
    UPSTREAM_TOKEN: 'the-gateways-own-token',
    ADMIN_EMAIL: admin.email,
    ADMIN_PASSWORD: admin.password,
    // The addresses of clients are those that the tests write into X-Forwarded-For.
    TRUST_PROXY: 'loopback',
    ...env,
  })
  if (given === undefined) throw new Error('Help was asked for.')
  const log: string[] = []
  const front = await startFront(readConfig(given), (line) => void log.push(line))
  return {
    front,
    log,
    async close() {
      await front.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Logs the first account in; answers with the cookie. */
export async function logIn({ origin }: Front): Promise<string> {
  const response = await fetch(`${origin}/_front/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(admin),
  })
  if (response.status !== 204)
    throw new Error(`The login was answered ${response.status}: ${await response.text()}`)
  return response.headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0])
    .join('; ')
}

/** Asks the API of the front, as the first account. */
export async function api(front: Front, cookie: string, method: string, path: string, body?: object) {
  const response = await fetch(`${front.origin}/_front/api/${path}`, {
    method,
    headers: { cookie, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, json: text === '' ? undefined : JSON.parse(text) }
}

/** A device whose token is known without a pairing. */
export async function newDevice(
  { services }: Front,
  name = 'kitchen',
): Promise<{ id: string; token: string }> {
  const { id, token } = await services.devices.create({ name })
  return { id, token }
}
