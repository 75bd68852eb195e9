/** What `behaviours` of `runtimes/behaviours.mjs` finds in every runtime, with a randomness of 0.5. */
export const keptAsDocumented = {
  /** Asked again a minute before the expiry; the same socket, with a newer credential. */
  renewal: [['connect', 'renewal'], 1, { type: 'auth_refresh', token: 'ugd_token-for-renewal' }],
  /** Nothing is tried without a network; with it, at once. */
  offline: ['offline', 1, 2],
  /** One ping every 45 s; a peer that does not answer one within 20 s is given up. */
  pings: [0, 1, 1, 2, 'waiting'],
  /** By the table: two refusals for good, one that wants another credential, one that passes. */
  stops: ['closed', 'closed', 'closed', 'waiting'],
  /** 120 s, and half of 5 s and a tenth. */
  retryAfter: [128_500, 1],
  /** Doubling, also after 29.999 s of acceptance; from the shortest again after 30 s. */
  reset: [1500, 2500, 4500, 8500, 1500],
}
