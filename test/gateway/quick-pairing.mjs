// Loaded before a gateway with `--import`: as a node that waits for its approval, it asks again after half a second. It
// would after five seconds, and up to a second and a half more; no other timer of a gateway has such a length.
const { setTimeout } = globalThis

/** @type {(callback: () => void, milliseconds: number, ...rest: unknown[]) => unknown} */
const quick = (callback, milliseconds, ...rest) =>
  setTimeout(
    callback,
    milliseconds > 5000 && milliseconds <= 6500 ? milliseconds / 10 : milliseconds,
    ...rest,
  )
Object.assign(globalThis, { setTimeout: quick })
