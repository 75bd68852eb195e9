import { type Report, runDoctor } from '@upgate/cli'
import { type ConnectError, connect, isConnectError } from '@upgate/client'
import type { Situation, Started } from './situation.ts'
import { Stage } from './stage.ts'

/** What both said of a situation. `undefined`: it cannot come into it. */
export interface Outcome {
  readonly situation: Situation
  readonly client: string | undefined
  readonly doctor: string | undefined
  /** Everything that they said, as text. */
  readonly printed: string
  readonly secrets: readonly string[]
}

/** Builds a situation for each of the two, and asks them. */
export async function runSituation(situation: Situation): Promise<Outcome> {
  const printed: string[] = []
  const secrets: string[] = []
  const ask = async (
    excused: string | undefined,
    question: (started: Started) => Promise<{ code: string; said: string }>,
  ): Promise<string | undefined> => {
    if (excused !== undefined) return undefined
    // A stage for each: the refusals of one must not count for the other.
    const stage = new Stage()
    try {
      const started = await situation.start(stage)
      secrets.push(...secretsOf(started))
      const { code, said } = await question(started)
      printed.push(said)
      return code
    } catch (error) {
      return `not started: ${String(error)}`
    } finally {
      await stage.end()
    }
  }
  const [client, doctor] = await Promise.all([
    // Each situation ends by itself, also on a busy machine.
    ask(situation.without?.client, (started) => askClient(started, 20_000)),
    ask(situation.without?.doctor, askDoctor),
  ])
  return { situation, client, doctor, printed: printed.join('\n'), secrets }
}

/** Runs all of them, some at a time. */
export async function runAll(all: readonly Situation[], width = 10): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  const queue = all.map((situation, index) => ({ situation, index }))
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift())
      outcomes[next.index] = await runSituation(next.situation)
  }
  await Promise.all(Array.from({ length: width }, worker))
  return outcomes
}

/** @param patience - how long the end of an accepted socket is waited for, in milliseconds */
export async function askClient(
  { url, client }: Started,
  patience = 1500,
): Promise<{ code: string; said: string }> {
  const events: unknown[] = []
  const connection = connect(url, { reconnect: false, ...client })
  for (const name of ['state', 'failed', 'closed', 'pairing'] as const)
    connection.on(name, (value: unknown) => events.push(value, String(value)))
  const ended = new Promise<ConnectError | undefined>((resolve) => connection.on('closed', resolve))
  let error: unknown
  try {
    await connection.accepted
    error = await withTimeLimit(ended, patience)
  } catch (thrown) {
    error = thrown
  }
  connection.close()
  const { code } = isConnectError(error) ? error : { code: 'connected' }
  const text = error instanceof Error ? [String(error), error.stack, JSON.stringify(error)] : []
  return { code, said: JSON.stringify([events, text, isConnectError(error) && error.diagnosis]) }
}

export async function askDoctor({ url, doctor }: Started): Promise<{ code: string; said: string }> {
  const shown: unknown[] = []
  const report: Report = await runDoctor({
    url,
    handshake: 'auto',
    expectEdge: false,
    idle: 0,
    timeout: 20_000,
    env: {},
    signal: new AbortController().signal,
    progress: { started: (title) => shown.push(title), finished: (check) => shown.push(check) },
    ...doctor,
  })
  return { code: report.verdict.code, said: JSON.stringify([report, shown]) }
}

function withTimeLimit<T>(promise: Promise<T>, milliseconds: number): Promise<T | undefined> {
  return Promise.race([
    promise,
    new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), milliseconds).unref()),
  ])
}

function secretsOf({ client, doctor, secrets = [] }: Started): readonly string[] {
  const { credential, edge, headers = {} } = client ?? {}
  const found = [
    ...secrets,
    typeof credential === 'string' ? credential : undefined,
    ...(typeof edge === 'object' ? Object.values(edge).filter((each) => typeof each === 'string') : []),
    ...Object.entries(headers).flatMap(([name, value]) => (/^origin$/i.test(name) ? [] : [value])),
    doctor?.token,
    doctor?.cookie,
    doctor?.edge?.clientId,
    doctor?.edge?.clientSecret,
  ]
  return found.filter((each) => each !== undefined)
}
