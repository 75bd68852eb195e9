import { nameOf } from '../../core/options/check-options.ts'
import { type Pattern, parsePattern } from '../../core/rules/pattern.ts'
import type { WebSocketServerLike } from '../socket/web-socket-like.ts'
import { createPathTable, type PathTable } from './path-table.ts'

/** Which `WebSocketServer` owns which upgrade path. */
export interface Owners extends PathTable<WebSocketServerLike> {
  /** Whether every path that a rule's pattern matches has an owner. */
  cover(pattern: string): boolean
  /** The owners that listen for upgrades of this server themselves, for one path only. */
  readonly listening: readonly WebSocketServerLike[]
  /** The owners, by the pattern of their paths. */
  readonly servers: ReadonlyMap<string, WebSocketServerLike>
}

/** Settings that `ws` keeps of a server, as its documentation names the options. */
interface ServerSettings {
  readonly path?: string | null
  readonly server?: object | null
  readonly port?: number | null
  readonly WebSocket?: { readonly prototype?: { readonly pause?: unknown } }
}

/** Reads the `sockets` option; throws a `TypeError` naming the entry that is wrong and how to make it right. */
export function createOwners(
  sockets: Readonly<Record<string, WebSocketServerLike>>,
  server: object,
  where: string,
): Owners {
  if (typeof sockets.handleUpgrade === 'function') {
    throw new TypeError(
      `${where}: \`sockets\` is a WebSocketServer; name the path that it owns: { '/ws': wss }.`,
    )
  }
  const listening = new Set<WebSocketServerLike>()
  for (const [path, wss] of Object.entries(sockets)) {
    const entry = `${where}: \`sockets['${path}']\``
    if (typeof wss?.handleUpgrade !== 'function' || typeof wss.emit !== 'function') {
      throw new TypeError(`${entry} must be a WebSocketServer of the package \`ws\`, not ${nameOf(wss)}.`)
    }
    checkSettings(wss, path, server, entry)
    const settings = settingsOf(wss)
    if (settings.server === server && typeof settings.path === 'string') listening.add(wss)
  }
  const table = createPathTable(sockets, where, 'sockets')
  return {
    ...table,
    cover(pattern) {
      const wanted = parsePattern(pattern, where)
      return table.patterns.some((own) => contains(own, wanted))
    },
    listening: [...listening],
    servers: new Map(Object.entries(sockets)),
  }
}

function settingsOf(wss: WebSocketServerLike): ServerSettings {
  return (wss as { options?: ServerSettings }).options ?? unknownSettings
}

const unknownSettings: ServerSettings = {}

function checkSettings(wss: WebSocketServerLike, path: string, server: object, entry: string): void {
  const settings = settingsOf(wss)
  const { path: own, port, server: attached } = settings
  if (settings !== unknownSettings && typeof settings.WebSocket?.prototype?.pause !== 'function') {
    throw new TypeError(
      `${entry} comes from a release of \`ws\` whose sockets cannot be paused. ` +
        'Use ws 8.5 or newer for it (express-ws brings ws 7).',
    )
  }
  if (typeof port === 'number' || (attached != null && attached !== server)) {
    throw new TypeError(
      `${entry} takes upgrades from a server of its own, which no gate guards. ` +
        'Make it with { noServer: true }, or with { server, path } of the guarded server.',
    )
  }
  if (typeof own === 'string' && own !== path) {
    throw new TypeError(
      `${entry} was made for the path ${JSON.stringify(own)} and would refuse this one; name the same path in both places.`,
    )
  }
}

/** Whether `outer` matches every path that `inner` matches, exactly as written. */
function contains(outer: Pattern, inner: Pattern): boolean {
  if (outer.prefix) {
    if (inner.segments.length < outer.segments.length) return false
    if (!inner.prefix && inner.segments.length === outer.segments.length) return false
  } else if (inner.prefix || inner.segments.length !== outer.segments.length) return false
  return outer.segments.every((segment, i) => segment === undefined || segment === inner.segments[i])
}
