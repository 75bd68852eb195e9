import { EventEmitter } from 'node:events'

type HeaderValue = number | string | readonly string[]

/**
 * Stands in for the response that middleware expects, during a verification that must not write one.
 *
 * Keeps headers in memory and discards everything else. `answered` resolves as soon as the middleware tries
 * to answer.
 */
export class StandInResponse extends EventEmitter {
  statusCode = 200
  statusMessage = ''
  headersSent = false
  finished = false
  writableEnded = false
  readonly locals: Record<string, unknown> = {}
  readonly req: object
  readonly #headers = new Map<string, HeaderValue>()
  readonly #onAnswer: () => void

  constructor(request: object, onAnswer: () => void) {
    super()
    this.req = request
    this.#onAnswer = onAnswer
  }

  /** The cookies that would have been set. */
  get cookies(): readonly string[] {
    const value = this.#headers.get('set-cookie')
    if (value === undefined) return []
    return typeof value === 'object' ? [...value] : [String(value)]
  }

  setHeader(name: string, value: HeaderValue): this {
    this.#headers.set(name.toLowerCase(), value)
    return this
  }

  appendHeader(name: string, value: string | readonly string[]): this {
    const before = this.#headers.get(name.toLowerCase())
    const list = before === undefined ? [] : typeof before === 'object' ? before : [String(before)]
    return this.setHeader(name, [...list, ...(typeof value === 'string' ? [value] : value)])
  }

  getHeader(name: string): HeaderValue | undefined {
    return this.#headers.get(name.toLowerCase())
  }

  getHeaders(): Record<string, HeaderValue> {
    return Object.fromEntries(this.#headers)
  }

  getHeaderNames(): string[] {
    return [...this.#headers.keys()]
  }

  hasHeader(name: string): boolean {
    return this.#headers.has(name.toLowerCase())
  }

  removeHeader(name: string): void {
    this.#headers.delete(name.toLowerCase())
  }

  writeHead(status: number): this {
    this.statusCode = status
    this.#answer()
    return this
  }

  write(): boolean {
    this.#answer()
    return true
  }

  end(): this {
    this.finished = true
    this.writableEnded = true
    this.#answer()
    return this
  }

  flushHeaders(): void {
    this.#answer()
  }

  // Express's names for the same functions.
  set(name: string, value: HeaderValue): this {
    return this.setHeader(name, value)
  }

  header(name: string, value: HeaderValue): this {
    return this.setHeader(name, value)
  }

  get(name: string): HeaderValue | undefined {
    return this.getHeader(name)
  }

  status(code: number): this {
    this.statusCode = code
    return this
  }

  sendStatus(code: number): this {
    this.statusCode = code
    return this.end()
  }

  send(): this {
    return this.end()
  }

  json(): this {
    return this.end()
  }

  redirect(): void {
    this.end()
  }

  #answer(): void {
    this.headersSent = true
    this.#onAnswer()
  }
}
