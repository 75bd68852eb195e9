import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import { answerQuestions } from '../answer.mjs'
import { floods, owner, password, people } from './scenarios.mjs'

// The example gateway of a checkout, as its own process, with the accounts that the scenarios are about.
const [folder = '', dataDir = ''] = process.argv.slice(2)
const imported = (/** @type {string[]} */ ...path) => import(pathToFileURL(join(folder, ...path)).href)

const { createServices } = await imported('packages', 'upgate', 'dist', 'index.js')
const { sqliteStore } = await imported('packages', 'upgate', 'dist', 'sql.js')
const store = await sqliteStore({ file: join(dataDir, 'gateway.db') })
const services = createServices({ store })
for (const email of [owner, ...people]) {
  const result = await services.accounts.create({ email, password })
  if (result.outcome !== 'done') throw new Error(result.reason)
}
await services.close()
await store.close()

Object.assign(process.env, { HOST: '127.0.0.1', PORT: '0', DATA_DIR: dataDir, TRUST_PROXY: 'loopback' })
for (const name of [
  'PUBLIC_URL',
  'DATABASE_URL',
  'REDIS_URL',
  'CF_ACCESS_TEAM',
  'CF_ACCESS_AUD',
  'ADMIN_EMAIL',
]) {
  delete process.env[name]
}
/** @type {(origin: string) => void} */
let ready = () => {}
/** @type {Promise<string>} */
const origin = new Promise((resolve) => (ready = resolve))
const write = process.stdout.write.bind(process.stdout)
process.stdout.write = /** @type {typeof write} */ (
  (/** @type {any} */ text, /** @type {any[]} */ ...rest) => {
    const match = /^Gateway ready: (\S+)$/m.exec(String(text))
    if (match !== null) ready(match[1] ?? '')
    return write(text, ...rest)
  }
)
await imported('examples', 'gateway', 'dist', 'main.js')

const delay = monitorEventLoopDelay({ resolution: 2 })
let cpu = process.cpuUsage()
answerQuestions(async ({ what }) => {
  if (what === 'where') return { port: Number(new URL(await origin).port), floods: Object.keys(floods) }
  if (what === 'begin') {
    delay.enable()
    delay.reset()
    cpu = process.cpuUsage()
    return {}
  }
  const { user, system } = process.cpuUsage(cpu)
  // The timer itself takes two milliseconds.
  return { p99: delay.percentile(99) / 1e6 - 2, most: delay.max / 1e6 - 2, cpu: (user + system) / 1e6 }
})
