/** A message as `ws` emits it. */
export type Message = readonly [data: unknown, isBinary: boolean]
