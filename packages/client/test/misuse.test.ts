import { Agent } from 'node:http'
import * as main from '@upgate/client'
import * as browser from '@upgate/client/browser'
import { manualClock } from 'upgate/testing'
import { describe, expect, it } from 'vitest'
import { memoryTransport } from './memory.ts'

/*
 * Calls every function of every entry with typical mistakes in every argument and option. Each call throws a TypeError that
 * names the function and the option and quotes no value, or succeeds where the documentation says so; nothing fails later.
 */

type Call = (...values: unknown[]) => unknown
interface Sample {
  /** Right arguments. */
  readonly good: () => unknown[]
  /** The argument with the options, and a right value for each of them. */
  readonly options?: number
  readonly full?: Record<string, unknown>
  /** Other right values, by argument or option. */
  readonly also?: Record<string, readonly string[]>
}

const secret = 's3cret-of-the-test'
const url = 'wss://gateway.example.com/ws'
const connectOptions: Record<string, unknown> = {
  credential: 'a-token-of-the-test',
  edge: { clientId: 'id.access', clientSecret: 'f'.repeat(64) },
  headers: { 'X-A': 'b' },
  handshake: main.upgateHandshake(),
  protocols: ['chat.v1'],
  timeout: 15_000,
  signal: new AbortController().signal,
  reconnect: { min: 1, max: 2, stableAfter: 3 },
  keepAlive: 0,
  dangerouslySendCredentialsOverPlain: false,
  transport: memoryTransport(),
  docs: 'https://docs.example.com/',
  clock: manualClock(),
  random: () => 0,
}
const connect: Sample = {
  good: () => [url, { transport: memoryTransport() }],
  options: 1,
  full: connectOptions,
  also: {
    0: ['string', 'empty string'],
    1: ['undefined'],
    credential: ['function'],
    edge: ['function'],
    headers: ['object'],
    protocols: ['list'],
    reconnect: ['boolean'],
    docs: ['empty string'],
  },
}
const samples: Record<string, Sample> = {
  connect,
  deviceKey: { good: () => [main.deviceKey().privateKey], also: { 0: ['undefined'] } },
  isConnectError: { good: () => [new Error('x')], also: { 0: ['anything'] } },
  isPublicAddress: { good: () => ['8.8.8.8'], also: { 0: ['anything'] } },
  allowedLookup: {
    good: () => [main.isPublicAddress, () => {}],
    also: { 1: ['undefined'] },
  },
  wsTransport: {
    good: () => [{}],
    options: 0,
    full: {
      ca: 'PEM',
      cert: 'PEM',
      key: 'PEM',
      maxPayload: 1024,
      lookup: () => {},
      allowAddress: () => true,
    },
    also: { 0: ['undefined'] },
  },
  browserTransport: {
    good: () => [{}],
    options: 0,
    full: { WebSocket: class {}, fetch: () => {} },
    also: { 0: ['undefined'], WebSocket: ['class', 'function'] },
  },
  upgateHandshake: {
    good: () => [{}],
    options: 0,
    full: { role: 'node', scopes: ['a'] },
    also: { 0: ['undefined'], scopes: ['list'] },
  },
  connectHandshake: {
    good: () => [{}],
    options: 0,
    full: {
      client: { id: 'a', version: '1', platform: 'b', mode: 'node', displayName: 'c', deviceFamily: 'd' },
      role: 'node',
      scopes: ['a'],
      protocol: { min: 3, max: 4 },
      tokenAs: 'token',
      params: { caps: [] },
    },
    also: { 0: ['undefined'], scopes: ['list'], params: ['object'] },
  },
  headerHandshake: {
    good: () => [{}],
    options: 0,
    full: { header: 'x-api-key' },
    also: { 0: ['undefined'] },
  },
  subprotocolHandshake: {
    good: () => [{}],
    options: 0,
    full: { encode: (token: string) => token },
    also: { 0: ['undefined'] },
  },
  ticketHandshake: {
    good: () => [{}],
    options: 0,
    full: { endpoint: '/api/tickets', fetch: () => {} },
    also: { 0: ['undefined'] },
  },
}

const wrong: readonly (readonly [kind: string, value: () => unknown])[] = [
  ['undefined', () => undefined],
  ['null', () => null],
  ['string', () => `${secret} `],
  ['empty string', () => ''],
  ['number', () => -7],
  ['NaN', () => Number.NaN],
  ['boolean', () => true],
  ['object', () => ({ nobodyKnowsThis: secret })],
  ['object without', () => ({})],
  ['list', () => []],
  ['list of nothing', () => [undefined]],
  ['set', () => new Set([secret])],
  ['map', () => new Map([[secret, 1]])],
  ['regular expression', () => /a/],
  ['date', () => new Date()],
  ['function', () => function notCalled() {}],
  ['class', () => class NotMade {}],
  ['promise', () => Promise.resolve({})],
  ['symbol', () => Symbol(secret)],
  ['bigint', () => 7n],
]

/** The complaint about a call that should be refused, or may be right. */
function complaint(
  name: string,
  call: Call,
  values: unknown[],
  option: string | undefined,
  mayWork: boolean,
): string | undefined {
  try {
    const made = call(...values) as { close?: () => void } | undefined
    made?.close?.()
    return mayWork ? undefined : 'no error at all'
  } catch (error) {
    const { message } = error as Error
    if (!(error instanceof TypeError)) return `no TypeError: ${String(error)}`
    if (!message.startsWith(`${name}: `)) return `does not begin with the function's name: ${message}`
    if (option !== undefined && !message.includes(`\`${option}`))
      return `does not name \`${option}\`: ${message}`
    return message.includes(secret) ? `quotes a value: ${message}` : undefined
  }
}

const classes = ['ConnectError', 'HandshakeFailure']
const functions = Object.entries({ main, browser }).flatMap(([entry, exported]) =>
  Object.entries(exported)
    .filter(([name, value]) => typeof value === 'function' && !classes.includes(name))
    .map(([name, value]) => ({ entry, name, call: value as Call })),
)

it('knows every exported function', () => {
  expect([...new Set(functions.map(({ name }) => name))].toSorted()).toEqual(Object.keys(samples).toSorted())
})

describe.each(functions)('$name of the entry $entry', ({ name, call }) => {
  const { good, options, full = {}, also = {} } = samples[name] as Sample
  const allows = (place: string | number, kind: string): boolean =>
    also[place]?.includes('anything') === true || also[place]?.includes(kind) === true
  const isRight = (right: unknown, kind: string): boolean =>
    (typeof right === 'boolean' && kind === 'boolean') || (typeof right === 'function' && kind === 'function')

  it('accepts right arguments', () => {
    expect(complaint(name, call, good(), undefined, true)).toBeUndefined()
    if (options !== undefined)
      expect(complaint(name, call, good().with(options, full), undefined, true)).toBeUndefined()
  })

  it('names itself for every wrong argument', () => {
    const complaints: string[] = []
    for (const [at, right] of good().entries()) {
      for (const [kind, value] of wrong) {
        const mayWork =
          allows(at, kind) || (at === options && kind === 'object without') || isRight(right, kind)
        const said = complaint(name, call, good().with(at, value()), undefined, mayWork)
        if (said !== undefined) complaints.push(`argument ${at} as ${kind}: ${said}`)
      }
    }
    expect(complaints).toEqual([])
  })

  if (options === undefined) return

  it('names the option for every wrong value', () => {
    const complaints: string[] = []
    for (const option of Object.keys(full)) {
      for (const [kind, value] of wrong) {
        // The transport of pages sends no headers, and is no right one for the other options.
        if (option === 'transport' && kind === 'undefined') continue
        const isObject = Object.getPrototypeOf(full[option]) === Object.prototype
        const mayWork =
          kind === 'undefined' ||
          allows(option, kind) ||
          isRight(full[option], kind) ||
          (isObject && kind === 'object without')
        // A right string is no sample for another one: each option has its form.
        const isAnyText = kind === 'string' && ['role', 'ca', 'cert', 'key', 'credential'].includes(option)
        const values = good().with(options, { ...full, [option]: value() })
        const said = complaint(name, call, values, option, mayWork || isAnyText)
        if (said !== undefined) complaints.push(`\`${option}\` as ${kind}: ${said}`)
      }
    }
    expect(complaints).toEqual([])
  })

  it('names an option that it does not know, and the one that was meant', () => {
    for (const option of Object.keys(full)) {
      const values = good().with(options, { ...full, [`${option}s`]: secret })
      expect(() => call(...values)).toThrow(
        `${name}: unknown option \`${option}s\`. Did you mean \`${option}\`?`,
      )
    }
  })
})

describe('options within options', () => {
  it.each<[string, object, string]>([
    [
      'min',
      { reconnect: { min: 0 } },
      'connect: `reconnect.min` must be a number of milliseconds, at least 1.',
    ],
    ['stable', { reconnect: { stable: 1 } }, 'connect: unknown option `reconnect.stable`.'],
    ['both', { reconnect: { min: 40_000 } }, 'connect: `reconnect.max` must not be smaller than'],
    ['secret', { edge: { clientId: secret } }, 'connect: `edge.clientSecret` must be'],
    ['form', { edge: { clientId: 'a', clientSecret: 'b', form: secret } }, 'connect: `edge.form` must be'],
    ['device', { credential: { device: { sign: secret } } }, 'connect: `credential` must be'],
    ['key', { credential: { device: { sign() {} } } }, 'connect: `credential` must be'],
    ['a name', { headers: { 'x a': secret } }, 'connect: `headers` has a name that is no header name.'],
    ['a value', { headers: { 'x-a': 5 } }, 'connect: the value of `headers` for x-a must be text'],
    ['network', { transport: { open() {} } }, 'connect: `transport` must be what wsTransport()'],
  ])('%s', (_name, options, message) => {
    expect(() => main.connect(url, options as never)).toThrow(message)
    expect(() => main.connect(url, options as never)).not.toThrow(secret)
  })

  it('of connectHandshake', () => {
    expect(() => main.connectHandshake({ client: { id: 5 } } as never)).toThrow(
      'connectHandshake: `client.id` must be text that is not empty.',
    )
    expect(() => main.connectHandshake({ protocol: { min: 4, max: 3 } })).toThrow(
      'connectHandshake: `protocol` must be a range of versions',
    )
    expect(() => main.connectHandshake({ protocol: { min: 3 } } as never)).toThrow(
      'connectHandshake: `protocol` must be a range of versions',
    )
  })

  it('of wsTransport', () => {
    expect(() => main.wsTransport({ allowAddress: main.isPublicAddress, agent: new Agent() })).toThrow(
      'wsTransport: `allowAddress` and `agent` do not go together',
    )
    expect(() => main.wsTransport({ agent: {} } as never)).toThrow(
      'wsTransport: `agent` must be an http.Agent.',
    )
    main.wsTransport({
      agent: new Agent(),
      ca: ['a', Buffer.from('b')],
      key: [{ pem: 'a', passphrase: 'b' }],
    })
  })
})

it('a listener of an event that does not exist, or that is no function', () => {
  const connection = main.connect(url, { transport: memoryTransport() })
  expect(() => connection.on('open' as never, (() => {}) as never)).toThrow(
    /There is no event `open`; the events are state,/,
  )
  expect(() => connection.on('message', secret as never)).toThrow(
    "on('message'): the listener must be a function.",
  )
  connection.close()
})
