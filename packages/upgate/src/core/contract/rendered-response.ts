import type { HeaderList } from './decision.ts'

/** An answer ready to be written: status, header lines, body. */
export interface RenderedResponse {
  /** HTTP status. */
  readonly status: number
  /** Header lines, in order; a name may come twice. */
  readonly headers: HeaderList
  /** Empty for HEAD, redirects and 204. `Content-Length` is already among the headers. */
  readonly body: string
}
