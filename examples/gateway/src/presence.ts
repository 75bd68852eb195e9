import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { ConnectedNode, Nodes } from './nodes.ts'

/** Lists that pages fetch again after a change at any instance. */
export type Topic = 'devices' | 'keys' | 'pairings' | 'users' | 'remote'

/** The nodes connected to any instance of the gateway, and the changes there. */
export interface Presence {
  /** Nodes of this instance and of the others. */
  list(): readonly ConnectedNode[]
  /** Calls the listener after every change, at this instance or another. */
  onChange(listener: () => void): void
  /** Tells the other instances that something changed. */
  announce(topic: Topic): void
  /** Calls the listener after a change at another instance. */
  onTopic(listener: (topic: Topic) => void): void
  /** Removes the nodes of this instance from the lists of the other instances. */
  close(): Promise<void>
}

/** The list of a gateway with one instance. */
export function localPresence(nodes: Nodes): Presence {
  return {
    list: nodes.list,
    onChange: (listener) => void nodes.onChange(listener),
    announce() {},
    onTopic() {},
    close: async () => {},
  }
}

export interface SharedPresenceOptions {
  readonly connectionString: string
  readonly nodes: Nodes
  log(message: string): void
}

/** Milliseconds between two rounds: each writes this instance's row and reads those of the others. */
const interval = 1000

/** Seconds, by the database's clock, after which an instance that has not written is removed with its nodes. */
const lifetime = 15

/** Longest query, in milliseconds. */
const timeout = 5000

/** Advisory lock of all gateways on one database: of those that start together, one creates the tables. */
const lock = 0x67770001

interface Row {
  readonly instance: string
  readonly version: string
  readonly topics: Readonly<Record<string, number>>
}

/** The last known state of another instance. */
interface Other {
  version: string
  topics: Readonly<Record<string, number>>
  nodes: readonly ConnectedNode[]
}

/**
 * Keeps one row per instance, which the instance writes every second and after every change of its nodes. An instance
 * that stops writing, even by `kill -9`, is removed after fifteen seconds, without manual work.
 *
 * @throws the database's error if it is unreachable
 */
export async function sharedPresence(options: SharedPresenceOptions): Promise<Presence> {
  const { connectionString, nodes, log } = options
  const pool = new pg.Pool({
    connectionString,
    max: 2,
    connectionTimeoutMillis: timeout,
    statement_timeout: timeout,
    query_timeout: timeout + 1000,
  })
  // Errors of idle connections; the next query opens a new connection.
  pool.on('error', () => {})
  try {
    await prepare(pool)
  } catch (error) {
    await pool.end()
    throw error
  }

  const instance = randomUUID()
  const others = new Map<string, Other>()
  const changeListeners = new Set<() => void>()
  const topicListeners = new Set<(topic: Topic) => void>()
  const topics: Record<Topic, number> = { devices: 0, keys: 0, pairings: 0, users: 0, remote: 0 }
  let version = 0
  let written = -1
  let lastLook = performance.now()
  let failing = false
  let running: Promise<void> | undefined
  let again = false
  let closed = false

  const changed = (): void => {
    for (const listener of changeListeners) listener()
  }

  async function write(): Promise<void> {
    if (written === version) {
      const alive = await pool.query('update gateway_presence set seen_at = now() where instance = $1', [
        instance,
      ])
      if (alive.rowCount === 1) return
    }
    const now = version
    await pool.query(
      `insert into gateway_presence (instance, version, topics, nodes, seen_at) values ($1, $2, $3, $4, now())
       on conflict (instance) do update set version = $2, topics = $3, nodes = $4, seen_at = now()`,
      [instance, now, JSON.stringify(topics), JSON.stringify(nodes.list())],
    )
    written = now
  }

  async function look(): Promise<void> {
    const { rows } = await pool.query<Row>(
      `select instance, version, topics from gateway_presence
       where instance <> $1 and seen_at > now() - make_interval(secs => $2)`,
      [instance, lifetime],
    )
    const news = rows.filter((row) => others.get(row.instance)?.version !== row.version)
    // Fetches only lists that have changed.
    const fetched = news.length === 0 ? [] : await nodesOf(pool, news)
    let moved = false
    for (const gone of [...others.keys()].filter((id) => !rows.some((row) => row.instance === id))) {
      moved ||= (others.get(gone)?.nodes.length ?? 0) > 0
      others.delete(gone)
    }
    for (const row of news) {
      const before = others.get(row.instance)
      const { nodes: list = [] } = fetched.find((one) => one.instance === row.instance) ?? {}
      others.set(row.instance, { ...row, nodes: list })
      moved ||= JSON.stringify(list) !== JSON.stringify(before?.nodes ?? [])
      for (const topic of Object.keys(topics) as Topic[]) {
        if ((row.topics[topic] ?? 0) === (before?.topics[topic] ?? 0)) continue
        for (const listener of topicListeners) listener(topic)
      }
    }
    lastLook = performance.now()
    if (moved) changed()
  }

  async function beat(): Promise<void> {
    try {
      await write()
      await look()
      failing = false
    } catch (error) {
      if (!failing) log(`The list of nodes of other instances cannot be read: ${String(error)}`)
      failing = true
      if (others.size === 0 || performance.now() - lastLook < lifetime * 1000) return
      // The last known lists are too old to be shown.
      others.clear()
      changed()
    }
  }

  /** Starts a round; a call during a round starts another one right after it. */
  function soon(): void {
    if (closed) return
    if (running !== undefined) {
      again = true
      return
    }
    running = beat().finally(() => {
      running = undefined
      if (!again) return
      again = false
      soon()
    })
  }

  nodes.onChange(() => {
    version += 1
    soon()
    changed()
  })
  const timer = setInterval(soon, interval)
  soon()
  return {
    list: () => [...nodes.list(), ...[...others.values()].flatMap((other) => other.nodes)],
    onChange: (listener) => void changeListeners.add(listener),
    announce(topic) {
      topics[topic] += 1
      version += 1
      soon()
    },
    onTopic: (listener) => void topicListeners.add(listener),
    async close() {
      closed = true
      clearInterval(timer)
      await running
      await pool.query('delete from gateway_presence where instance = $1', [instance]).catch(() => {})
      await pool.end()
    },
  }
}

async function prepare(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query('select pg_advisory_xact_lock($1)', [lock])
    await client.query(
      `create table if not exists gateway_presence (
         instance text primary key, version bigint not null, topics jsonb not null, nodes jsonb not null,
         seen_at timestamptz not null)`,
    )
    await client.query(`delete from gateway_presence where seen_at < now() - interval '1 hour'`)
    await client.query('commit')
  } finally {
    // Also ends the transaction of a connection after an error.
    client.release(true)
  }
}

async function nodesOf(
  pool: pg.Pool,
  rows: readonly Row[],
): Promise<readonly { readonly instance: string; readonly nodes: readonly ConnectedNode[] }[]> {
  const instances = rows.map((row) => row.instance)
  const answer = await pool.query<{ instance: string; nodes: readonly ConnectedNode[] }>(
    'select instance, nodes from gateway_presence where instance = any($1)',
    [instances],
  )
  return answer.rows
}
