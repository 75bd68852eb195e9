import { readFileSync } from 'node:fs'
import type { ProxyName } from './programs.ts'

const guide = readFileSync(new URL('../../docs/guide-proxies.md', import.meta.url), 'utf8')
const languages: Readonly<Record<ProxyName, string>> = {
  nginx: 'nginx',
  caddy: 'caddyfile',
  haproxy: 'haproxy',
}

/**
 * The configuration for a proxy as the guide prints it, with the ports of the test.
 *
 * @param heading - the section that prints it. Default: the first one
 */
export function printed(name: ProxyName, port: number, upstream: number, heading = '# Proxies'): string {
  const section = guide.slice(guide.indexOf(heading))
  const text = new RegExp(`\`\`\`${languages[name]}\\n([^]*?)\`\`\``).exec(section)?.[1]
  if (text === undefined) throw new Error(`The guide prints no configuration for ${name}.`)
  return text
    .replace('127.0.0.1:8080', `127.0.0.1:${port}`)
    .replace('127.0.0.1:8787', `127.0.0.1:${upstream}`)
}
