import type { HeaderList } from './decision.ts'

/** An answer ready to be written: status, header lines, body. */
export interface RenderedResponse {
  readonly status: number
  readonly headers: HeaderList
  /** Empty for HEAD, redirects and 204. `Content-Length` is already among the headers. */
  readonly body: string
}
