import { lookup } from 'node:dns/promises'
import { isIP, type LookupFunction, connect as tcpConnect } from 'node:net'
import { checkServerIdentity, type TLSSocket, connect as tlsConnect } from 'node:tls'
import type { Observation, ObservedTls } from '@upgate/diagnosis'
import { errorOf } from './get.ts'

type ObservedError = NonNullable<Observation['error']>

/** The host of a URL as sockets take it: without the brackets of IPv6. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '')
}

/** The port of a URL of a WebSocket. */
export function portOf(url: URL): number {
  return Number(url.port || (url.protocol === 'wss:' || url.protocol === 'https:' ? 443 : 80))
}

/** Resolves a name within a time; the system's resolver cannot be stopped, so its late answer is ignored. */
export async function resolveName(
  host: string,
  timeout: number,
  resolver?: LookupFunction,
): Promise<{ readonly addresses: readonly string[] } | { readonly error: ObservedError }> {
  if (isIP(host) !== 0) return { addresses: [host] }
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<{ error: ObservedError }>((resolve) => {
    timer = setTimeout(
      () => resolve({ error: { timedOut: true, message: 'The look-up of the name took too long.' } }),
      timeout,
    )
  })
  const asked =
    resolver === undefined ? lookup(host, { all: true, verbatim: true }) : lookupBy(resolver, host)
  const found = asked.then(
    (all) => ({ addresses: all.map(({ address }) => address) }),
    (error: unknown) => ({ error: errorOf(error) }),
  )
  return Promise.race([found, late]).finally(() => clearTimeout(timer))
}

function lookupBy(resolver: LookupFunction, host: string): Promise<readonly { readonly address: string }[]> {
  return new Promise((resolve, reject) => {
    resolver(host, { all: true, verbatim: true }, (error, found) => {
      if (error !== null) reject(error)
      else resolve(Array.isArray(found) ? found : [{ address: found }])
    })
  })
}

/** Opens a TCP connection and ends it again. */
export function tryPort(host: string, port: number, timeout: number): Promise<ObservedError | undefined> {
  return new Promise((resolve) => {
    const socket = tcpConnect({ host, port })
    const done = (error?: ObservedError): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(error)
    }
    const timer = setTimeout(() => done({ timedOut: true, message: 'connect ETIMEDOUT' }), timeout)
    socket.on('connect', () => done())
    socket.on('error', (error) => done(errorOf(error)))
  })
}

/** A TLS handshake as a client of a WebSocket makes it, and the certificate, also a refused one. */
export function tryTls(
  { host, address, port, ca }: { host: string; address: string; port: number; ca?: string | undefined },
  timeout: number,
): Promise<{ readonly error?: ObservedError | undefined; readonly tls: ObservedTls }> {
  return new Promise((resolve) => {
    let tls: ObservedTls = {}
    const socket = tlsConnect({
      host: address,
      port,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(ca !== undefined && { ca }),
      ALPNProtocols: ['http/1.1'],
      // TLS with an address verifies the address, as a client would.
      checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
    })
    const done = (error?: ObservedError): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ error, tls })
    }
    const timer = setTimeout(
      () => done({ timedOut: true, message: 'The TLS handshake took too long.' }),
      timeout,
    )
    // Before Node verifies the certificate: a socket with a refused one has forgotten it.
    socket.prependListener('secure', () => {
      tls = tlsOf(socket)
    })
    socket.on('secureConnect', () => {
      // TLS 1.3: a server that refuses a missing client certificate says so after its handshake.
      const quiet = setTimeout(() => done(), Math.min(150, timeout))
      socket.once('error', () => clearTimeout(quiet))
      socket.once('data', () => {
        clearTimeout(quiet)
        done()
      })
    })
    socket.on('error', (error) => done(errorOf(error)))
    socket.on('close', () => done({ code: 'ECONNRESET', message: 'socket hang up' }))
  })
}

function tlsOf(socket: TLSSocket): ObservedTls {
  const certificate = socket.getPeerCertificate(false) as Partial<
    ReturnType<TLSSocket['getPeerCertificate']>
  > | null
  const names = (each: object | undefined): string | undefined =>
    each === undefined
      ? undefined
      : Object.entries(each)
          .map(([name, value]) => `${name}=${String(value)}`)
          .join(', ')
  return {
    issuer: names(certificate?.issuer),
    subject: names(certificate?.subject),
    altNames: certificate?.subjectaltname,
    validFrom: certificate?.valid_from,
    validTo: certificate?.valid_to,
    protocol: socket.getProtocol() ?? undefined,
    alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : undefined,
  }
}
