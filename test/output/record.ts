/*
 * Runs before every test file under `npm test`, which sets `UPGATE_OUTPUT` to a folder. It writes down everything that this
 * process and the programs it starts print, log and answer, and, apart from it, every secret that is sent or configured.
 * `scripts/lib/printed-secrets.mjs` then looks for the second in the first.
 */
import { ChildProcess } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, expect } from 'vitest'
import { WebSocket } from 'ws'

const folder = process.env.UPGATE_OUTPUT

interface Recorder {
  print(label: string, text: string): void
  flush(): void
}

/** Shorter values would occur by chance. */
const shortest = 12
/** oidc-provider names a step of a login in a cookie, signed by another one, and in the path. */
const idsInPaths = /^\s*_interaction/
/** Characters of one stream that are kept until they are written, and how many of them again: a secret may be cut. */
const kept = 64 * 1024
const overlap = 2048

const shared = globalThis as {
  upgateRecorder?: Recorder
  upgateHeard?: unknown
  upgateEvent?: unknown
  upgateSecret?: unknown
}
if (folder !== undefined) {
  // Test files may share a process.
  shared.upgateRecorder ??= install(folder)
  const { flush } = shared.upgateRecorder
  afterAll(() => flush())
}

function install(place: string): Recorder {
  const streams = new Map<string, string>()
  const secrets = new Set<string>()
  let unwritten: string[] = []
  const file = (name: string): string => join(place, `${name}-${process.pid}.jsonl`)

  const write = (label: string, text: string): void => {
    const { testPath = '' } = expect.getState()
    appendFileSync(file('printed'), `${JSON.stringify({ label, testPath, text })}\n`)
  }
  const print = (label: string, text: string): void => {
    const all = (streams.get(label) ?? '') + text
    if (all.length < kept) {
      streams.set(label, all)
      return
    }
    write(label, all)
    streams.set(label, all.slice(-overlap))
  }
  const use = (value: string | undefined): void => {
    const secret = value?.trim() ?? ''
    // Words of prose are no secrets, but placeholders of tests.
    if (secret.length < shortest || secrets.has(secret) || /^[a-z-]*$/i.test(secret)) return
    secrets.add(secret)
    unwritten.push(`${JSON.stringify(secret)}\n`)
  }
  const flush = (): void => {
    for (const [label, text] of streams) if (text !== '') write(label, text)
    streams.clear()
    if (unwritten.length > 0) appendFileSync(file('secrets'), unwritten.join(''))
    unwritten = []
  }
  process.on('exit', flush)

  ownOutput(print)
  children(print, use)
  sockets(print, use)
  frames(use)
  // `vitest.config.ts` puts calls of these into the library's sources.
  shared.upgateHeard =
    (logger: Record<string, (...parts: unknown[]) => void>, level: string) =>
    (...parts: unknown[]) => {
      print('log', `${parts.map(textOf).join(' ')}\n`)
      logger[level]?.(...parts)
    }
  shared.upgateSecret = (secret: string) => {
    use(secret)
    return secret
  }
  shared.upgateEvent = (event: unknown) => print('event', `${textOf(event)}\n`)
  return { print, flush }
}

type Print = Recorder['print']
type Use = (value: string | undefined) => void

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  try {
    return JSON.stringify(value, (_name, part: unknown) =>
      part instanceof Error
        ? [part.stack, ...Object.values(part)].join(' ')
        : typeof part === 'bigint'
          ? String(part)
          : part,
    )
  } catch {
    return String(value)
  }
}

function ownOutput(print: Print): void {
  for (const name of ['stdout', 'stderr'] as const) {
    const stream = process[name]
    const own = stream.write.bind(stream)
    stream.write = ((chunk: unknown, ...rest: never[]) => {
      print(name, String(chunk))
      return own(chunk as string, ...rest)
    }) as typeof stream.write
  }
  for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    const own = console[level]
    console[level] = (...parts: unknown[]) => {
      print('console', `${parts.map(textOf).join(' ')}\n`)
      own(...parts)
    }
  }
}

/** Output of programs, and the secrets in their environments. */
function children(print: Print, use: Use): void {
  const { prototype } = ChildProcess as unknown as {
    prototype: { spawn(options: { args?: string[]; envPairs?: string[] }): unknown }
  }
  const spawn = prototype.spawn
  prototype.spawn = function (this: ChildProcess, options) {
    for (const pair of options.envPairs ?? []) {
      const [, name = '', value = ''] = /^(\w+)=(.*)$/s.exec(pair) ?? []
      if (/TOKEN|SECRET|PASSWORD|COOKIE|_CODE$/.test(name) && !/^(npm_|GIT_|UPGATE_REQUIRE)/i.test(name))
        use(value)
    }
    const result = spawn.call(this, options)
    const program = (options.args ?? []).slice(0, 4).join(' ').slice(-120)
    for (const name of ['stdout', 'stderr'] as const) {
      const stream = this[name]
      if (stream === null || stream === undefined) continue
      const label = `${name} of ${this.pid} ${program}`
      const push = stream.push.bind(stream)
      stream.push = (chunk: unknown, ...rest: never[]) => {
        if (chunk !== null) print(label, String(chunk))
        return push(chunk, ...rest)
      }
    }
    return result
  }
}

/** What servers of this process answer, and the secrets that clients of it send. */
function sockets(print: Print, use: Use): void {
  const closing = new WeakSet<Socket>()
  const own = Socket.prototype.write
  Socket.prototype.write = function (this: Socket, ...args: [never]) {
    const [chunk] = args as [unknown]
    if (closing.delete(this)) {
      if (chunk instanceof Uint8Array) print('close', `${Buffer.from(chunk).toString('latin1')}\n`)
    } else if (typeof chunk === 'string') {
      if (chunk.startsWith('HTTP/1.1 ')) answer(chunk, print, use)
      else if (/^[A-Z]{3,7} \S+ HTTP\/1\.1\r\n/.test(chunk)) request(chunk, use)
    } else if (chunk instanceof Uint8Array) {
      // A close frame of a server: two bytes, then the code and the reason, at once or in the next write.
      if (chunk[0] === 0x88 && (chunk[1] ?? 0) < 126) {
        if (chunk.length === 2 && chunk[1] !== 0) closing.add(this)
        else print('close', `${Buffer.from(chunk).toString('latin1')}\n`)
      } else if (chunk[0] === 0x7b && chunk.length < 8192) {
        const text = Buffer.from(chunk).toString('utf8')
        if (/"(?:auth_error|error)"|"ok":false/.test(text)) print('frame', `${text}\n`)
      }
    }
    return own.apply(this, args)
  }
}

/** Secrets in frames of clients: on the wire they are masked. */
function frames(use: Use): void {
  const own = WebSocket.prototype.send
  WebSocket.prototype.send = function (this: WebSocket, ...args: [never, never]) {
    const [data] = args as unknown[]
    if (typeof data === 'string' && data.length < 16_384) bodySecrets(data, use)
    return own.apply(this, args)
  }
}

function request(text: string, use: Use): void {
  const head = text.slice(0, text.indexOf('\r\n\r\n') + 1 || undefined)
  for (const [, name = '', value = ''] of head.matchAll(
    /^(authorization|proxy-authorization|cookie|x-api-key|cf-access-client-secret|cf-access-token|cf-access-jwt-assertion): (.*)$/gim,
  )) {
    if (!/cookie/i.test(name)) use(value.replace(/^\S+ +(?=\S)/, ''))
    else
      for (const pair of value.split(';')) if (!idsInPaths.test(pair)) use(pair.slice(pair.indexOf('=') + 1))
  }
  bodySecrets(text.slice(head.length), use)
}

/** Secrets in JSON. */
function bodySecrets(body: string, use: Use): void {
  for (const [, value] of body.matchAll(
    /"(?:token|password|current|next|deviceToken|claim|claimSecret|cfClientSecret|sessionKey)":"([^"\\]*)"/g,
  ))
    use(value)
  for (const [, code] of body.matchAll(/"(?:code|bootstrapToken)":"((?:[\dA-Z]{4}-)+[\dA-Z]{4})"/g)) use(code)
}

/** A redirect or refusal is output, and a cookie that is set is a secret. */
function answer(text: string, print: Print, use: Use): void {
  for (const [, name = '', value] of text.matchAll(/^set-cookie: *([^=;\r\n]*)=([^;\r\n]*)/gim))
    if (!idsInPaths.test(name)) use(value)
  if (/^HTTP\/1\.1 [345]/.test(text))
    print('answer', `${text.replace(/^set-cookie:.*$/gim, 'set-cookie: ...')}\n`)
}
