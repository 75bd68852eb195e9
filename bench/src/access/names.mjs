/** The contenders, in the order of the page. @type {Readonly<Record<string, string>>} */
export const names = {
  upgate: 'Upgate, the whole decision',
  'upgate-browser': 'Upgate, header, cookie and email header as a browser brings them',
  floor: 'the floor, by hand: SHA-256 of the token, a `Map`, its expiry',
  'fast-jwt-cache': 'fast-jwt with its cache, the token alone',
  'fast-jwt': 'fast-jwt, the token alone',
  jose: 'jose, `jwtVerify`, the token alone',
  'express-jwt': 'express-jwt with jwks-rsa, its middleware',
  hono: '@hono/cloudflare-access, through `app.fetch`',
}
