/** Where everybody sends requests, as they believe. */
export const host = 'gateway.example.com'
export const cookieName = '__Host-upgate_session'

/** The request headers of a browser-like client, besides Host: the same for every contender. */
export const commonHeaders = /** @type {const} */ ([
  ['Connection', 'keep-alive'],
  ['User-Agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'],
  ['Accept', 'application/json'],
  ['Accept-Language', 'en-GB,en;q=0.8'],
  ['Accept-Encoding', 'gzip, deflate, br'],
  ['X-Forwarded-For', '203.0.113.7'],
  ['X-Request-Id', '0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0'],
])
