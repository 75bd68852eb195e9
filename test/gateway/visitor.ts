import { request } from 'node:http'
import { admin } from './program.ts'

/** An answer of the API. */
export interface Answer {
  readonly status: number
  /** A header of the answer; several `Set-Cookie` come one per line. */
  header(name: string): string | undefined
  readonly text: string
  /** The body as JSON; throws for any other body. */
  json(): Record<string, unknown>
}

export interface RequestOptions {
  /** Sent as JSON. */
  readonly body?: unknown
  /** Sent unchanged. */
  readonly raw?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A client of the API, with or without a cookie. */
export class Visitor {
  readonly origin: string
  cookie: string | undefined

  constructor(origin: string, cookie?: string) {
    this.origin = origin
    this.cookie = cookie
  }

  /** Sends exactly these headers: `fetch` would add some, and a browser's headers differ from a program's. */
  request(method: string, path: string, { body, raw, headers }: RequestOptions = {}): Promise<Answer> {
    const content = body === undefined ? raw : JSON.stringify(body)
    const { hostname, port } = new URL(this.origin)
    return new Promise((resolve, reject) => {
      const sent = request({
        hostname,
        port,
        method,
        path,
        headers: {
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(content !== undefined && { 'content-length': Buffer.byteLength(content) }),
          ...(this.cookie !== undefined && { cookie: this.cookie }),
          ...headers,
        },
      })
      sent.once('error', reject)
      sent.once('response', (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part
        })
        response.once('error', reject)
        response.once('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            header: (name) => {
              const value = response.headers[name]
              return Array.isArray(value) ? value.join('\n') : value
            },
            text,
            json: () => JSON.parse(text),
          }),
        )
      })
      sent.end(content)
    })
  }

  get(path: string, options?: RequestOptions): Promise<Answer> {
    return this.request('GET', path, options)
  }

  post(path: string, body: unknown, options?: RequestOptions): Promise<Answer> {
    return this.request('POST', path, { ...options, body })
  }

  delete(path: string, options?: RequestOptions): Promise<Answer> {
    return this.request('DELETE', path, options)
  }

  async logIn(credentials: { email: string; password: string } = admin): Promise<Answer> {
    const answer = await this.post('/api/auth/login', credentials)
    const cookie = answer.header('set-cookie')
    if (answer.status === 204 && cookie !== undefined) this.cookie = cookie.split(';')[0]
    return answer
  }

  /** Creates a device. */
  async device(name = 'kitchen'): Promise<{ id: string; token: string }> {
    const answer = await this.post('/api/devices', { name })
    if (answer.status !== 201)
      throw new Error(`Creating a device was answered ${answer.status}: ${answer.text}`)
    return answer.json() as unknown as { id: string; token: string }
  }

  /** Creates an API key. */
  async key(scopes: readonly string[], name = 'board'): Promise<{ id: string; token: string }> {
    const answer = await this.post('/api/keys', { name, scopes })
    if (answer.status !== 201) throw new Error(`Creating a key was answered ${answer.status}: ${answer.text}`)
    return answer.json() as unknown as { id: string; token: string }
  }

  async nodes(): Promise<readonly Record<string, unknown>[]> {
    return (await this.get('/api/nodes')).json().nodes as Record<string, unknown>[]
  }
}

/** Creates a visitor and logs it in as the admin. */
export async function loggedIn(origin: string): Promise<Visitor> {
  const visitor = new Visitor(origin)
  const answer = await visitor.logIn()
  if (answer.status !== 204) throw new Error(`The login was answered ${answer.status}: ${answer.text}`)
  return visitor
}

export function bearer(token: string): RequestOptions {
  return { headers: { authorization: `Bearer ${token}` } }
}
