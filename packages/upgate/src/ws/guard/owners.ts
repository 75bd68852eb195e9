import { nameOf } from '../../core/options/check-options.ts'
import { analyseTarget, decodeOneReading, pathOf } from '../../core/request/target.ts'
import { matchesStrictly, overlap, type Pattern, parsePattern } from '../../core/rules/pattern.ts'
import type { WebSocketServerLike } from '../socket/web-socket-like.ts'

/** Which `WebSocketServer` owns which upgrade path. */
export interface Owners {
  /** The owner of a request-target; a target that is not in canonical form has none. */
  of(target: string): WebSocketServerLike | undefined
  /** Whether every path that a rule's pattern matches has an owner. */
  cover(pattern: string): boolean
  /** The owners that listen for upgrades of this server themselves, for one path only. */
  readonly listening: readonly WebSocketServerLike[]
  /** The owners, by the pattern of their paths. */
  readonly servers: ReadonlyMap<string, WebSocketServerLike>
  readonly patterns: readonly Pattern[]
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
  const exact = new Map<string, WebSocketServerLike>()
  const patterned: { readonly pattern: Pattern; readonly wss: WebSocketServerLike }[] = []
  const patterns: Pattern[] = []
  const listening = new Set<WebSocketServerLike>()
  for (const [path, wss] of Object.entries(sockets)) {
    const entry = `${where}: \`sockets['${path}']\``
    const pattern = parsePattern(path, `${where}: \`sockets\``)
    if (typeof wss?.handleUpgrade !== 'function' || typeof wss.emit !== 'function') {
      throw new TypeError(`${entry} must be a WebSocketServer of the package \`ws\`, not ${nameOf(wss)}.`)
    }
    checkSettings(wss, path, server, entry)
    const other = patterns.find((known) => overlap(known, pattern))
    if (other !== undefined) {
      throw new TypeError(
        `${entry}: some paths are owned by \`sockets['${other.source}']\` already; every path has one owner.`,
      )
    }
    patterns.push(pattern)
    if (pattern.text !== undefined && !pattern.prefix) exact.set(pattern.text, wss)
    else patterned.push({ pattern, wss })
    const settings = settingsOf(wss)
    if (settings.server === server && typeof settings.path === 'string') listening.add(wss)
  }
  return {
    of(target) {
      const path = decodeOneReading(pathOf(target))
      const owner = exact.get(path)
      if (owner !== undefined || patterned.length === 0) return owner
      const analysed = analyseTarget(target)
      if (analysed === 'ambiguous' || 'malformed' in analysed || analysed.readings !== undefined)
        return undefined
      return patterned.find(({ pattern }) => matchesStrictly(pattern, path))?.wss
    },
    cover(pattern) {
      const wanted = parsePattern(pattern, where)
      return patterns.some((own) => contains(own, wanted))
    },
    listening: [...listening],
    servers: new Map(Object.entries(sockets)),
    patterns,
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
