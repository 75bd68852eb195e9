import { randomBytes as nodeRandomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { count, fn, withDefault } from '../core/options/option-kinds.ts'
import { optionTable } from '../core/options/option-table.ts'

/**
 * Hashes passwords: a port, so that argon2 or a hardware module can replace scrypt.
 *
 * Hashes are PHC strings that carry their own parameters. A rejection counts as "cannot answer", never as a
 * mismatch.
 *
 * @example
 * const passwordHasher: PasswordHasher = {
 *   hash: (password) => argon2.hash(password),
 *   verify: (password, stored) => argon2.verify(stored, password),
 *   needsRehash: (stored) => argon2.needsRehash(stored),
 * }
 */
export interface PasswordHasher {
  /**
   * Hashes a password with a new salt; answers a PHC string.
   *
   * @param password - as typed, normalised (NFKC)
   */
  hash(password: string): Promise<string>
  /**
   * Tells whether a password is the one that a stored hash was made of.
   *
   * @param password - as typed, normalised (NFKC)
   * @param stored - a PHC string of `hash`
   */
  verify(password: string, stored: string): Promise<boolean>
  /**
   * Whether a stored hash is weaker than the hashes that `hash` makes now. A weaker one is replaced at the
   * next login.
   *
   * @param stored - a PHC string of `hash`
   */
  needsRehash(stored: string): boolean
}

/** Cost of scrypt (RFC 7914): memory is `128 * r * 2^ln` bytes. */
export interface ScryptOptions {
  /** Base-2 logarithm of the cost N, 14 to 20. Default: 16. */
  readonly ln?: number
  /** Block size, 8 to 32. Default: 8. */
  readonly r?: number
  /** Parallelisation, 1 to 16. Default: 2. */
  readonly p?: number
  /** Cryptographically random bytes, for salts. Default: `node:crypto`. */
  readonly randomBytes?: (size: number) => Uint8Array
}

interface Parameters {
  readonly ln: number
  readonly r: number
  readonly p: number
}

const keyLength = 32
const saltLength = 16
const phc = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replace(/=+$/, '')

function derive(password: string, salt: Uint8Array, { ln, r, p }: Parameters): Promise<Buffer> {
  const N = 2 ** ln
  return new Promise((resolve, reject) => {
    // Node refuses more than 32 MiB by default.
    const options = { N, r, p, maxmem: 128 * r * (N + p + 2) }
    scrypt(password, salt, keyLength, options, (error, key) => (error ? reject(error) : resolve(key)))
  })
}

function parametersOf(stored: string): (Parameters & { salt: Buffer; key: Buffer }) | undefined {
  const match = phc.exec(stored)
  // Refuse costs beyond any configuration: an attacker that can write one record could exhaust the memory.
  if (match === null || Number(match[1]) > 20 || Number(match[2]) > 32) return undefined
  const [, ln, r, p, salt, key] = match as unknown as [string, string, string, string, string, string]
  return {
    ln: Number(ln),
    r: Number(r),
    p: Number(p),
    salt: Buffer.from(salt, 'base64'),
    key: Buffer.from(key, 'base64'),
  }
}

const scryptOptions = optionTable<ScryptOptions>()({
  ln: count(16, 14, 20),
  r: count(8, 8, 32),
  p: count(2, 1, 16),
  randomBytes: withDefault(fn(), nodeRandomBytes),
})

/**
 * Hashes passwords with scrypt in PHC string format, at the strength OWASP recommends.
 *
 * The defaults (N = 2^16, r = 8, p = 2) take 64 MiB and some tenths of a second on a thread of libuv's pool.
 *
 * @param options - cost and source of randomness; all have defaults
 * @returns the hasher, for `createServices({ passwordHasher })`
 * @throws TypeError for an unknown option or a cost out of range
 * @example
 * const services = createServices({ store, passwordHasher: scryptHasher({ ln: 17, p: 1 }) })
 */
export function scryptHasher(options: ScryptOptions = {}): PasswordHasher {
  const { ln, r, p, randomBytes } = scryptOptions.read('scryptHasher', options)
  return {
    async hash(password) {
      const salt = randomBytes(saltLength)
      const key = await derive(password, salt, { ln, r, p })
      return `$scrypt$ln=${ln},r=${r},p=${p}$${base64(salt)}$${base64(key)}`
    },
    async verify(password, stored) {
      const parameters = parametersOf(stored)
      // "Wrong password" would hide that the record is damaged or from another hasher.
      if (parameters === undefined) throw new Error('the stored password hash is not scrypt in PHC format')
      const key = await derive(password, parameters.salt, parameters)
      return timingSafeEqual(key, parameters.key)
    },
    needsRehash(stored) {
      const parameters = parametersOf(stored)
      if (parameters === undefined) return true
      return (
        2 ** parameters.ln * parameters.r * parameters.p < 2 ** ln * r * p ||
        2 ** parameters.ln * parameters.r < 2 ** ln * r
      )
    },
  }
}
