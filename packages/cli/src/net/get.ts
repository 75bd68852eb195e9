import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { LookupFunction, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Observation } from '@upgate/diagnosis'

/** A request of the doctor. */
export interface Request {
  /** `http:` or `https:`. */
  readonly url: URL
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Milliseconds for everything. */
  readonly timeout: number
  readonly signal: AbortSignal
  readonly lookup?: LookupFunction | undefined
  /** Certificates of private authorities, in PEM. */
  readonly ca?: string | undefined
}

/** The observed facts: an answer, or an error. */
export type Facts = Pick<Observation, 'response' | 'error' | 'reached' | 'bytes'>

/** Characters of a body that are kept: metadata documents are longer than what a diagnosis reads. */
const keptBody = 256 * 1024
const keptBytes = 512

/**
 * Sends one request, and follows no redirect. Time, headers (16 KiB, Node's limit) and body are bounded: the server may be
 * hostile.
 */
export function send(request: Request): Promise<Facts> {
  const { url, method = 'GET', headers = {}, body, timeout, signal, lookup, ca } = request
  return new Promise((resolve) => {
    let facts: Facts = { reached: 'nothing' }
    let kept = ''
    let text = ''
    let ended = false
    const end = (more: Facts): void => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      sent.destroy()
      resolve({ ...facts, ...(kept !== '' && { bytes: kept }), ...more })
    }
    const reached = (step: NonNullable<Observation['reached']>): void => {
      facts = { ...facts, reached: step }
    }
    const sent = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      method,
      headers: {
        ...headers,
        ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
      },
      // A connection of its own: a reused one would hide the look-up and the TLS handshake.
      agent: false,
      signal,
      ...(lookup !== undefined && { lookup }),
      ...(ca !== undefined && { ca }),
    })
    const timer = setTimeout(
      () => end({ error: { timedOut: true, message: `No answer within ${timeout / 1000} s.` } }),
      timeout,
    )
    sent.on('socket', (socket: Socket) => {
      socket.on('lookup', (error: Error | null) => error ?? reached('dns'))
      socket.on('connect', () => reached('tcp'))
      if (socket instanceof TLSSocket) socket.on('secureConnect', () => reached('tls'))
      // Before Node's parser, which ends the request at the first byte that is no HTTP.
      socket.prependListener('data', (chunk: Buffer) => {
        if (kept.length < keptBytes) kept += chunk.toString('latin1').slice(0, keptBytes - kept.length)
      })
    })
    sent.on('error', (error: NodeJS.ErrnoException) => end({ error: errorOf(error) }))
    sent.on('upgrade', (response: IncomingMessage) => end({ response: responseOf(response, '') }))
    sent.on('response', (response) => {
      reached('http')
      response.setEncoding('utf8')
      const done = (): void => end({ response: responseOf(response, text) })
      response.on('data', (part: string) => {
        text += part.slice(0, keptBody - text.length)
        if (text.length >= keptBody) done()
      })
      response.on('end', done)
      response.on('error', done)
      response.on('close', done)
      // A body without an end is no reason to have no answer.
      setTimeout(done, Math.min(timeout, 3000)).unref()
    })
    sent.end(body)
  })
}

function responseOf(response: IncomingMessage, body: string): NonNullable<Observation['response']> {
  return { status: response.statusCode ?? 0, headers: response.headers, body }
}

/** An error of a socket as an observation; of several addresses, the first one's. */
export function errorOf(error: unknown): NonNullable<Observation['error']> {
  const { errors } = error as { readonly errors?: readonly unknown[] }
  const first = Array.isArray(errors) && errors.length > 0 ? errors[0] : error
  const { name, code, message, syscall } = first as Partial<NodeJS.ErrnoException>
  return { name, code, message: message ?? String(first), syscall }
}
