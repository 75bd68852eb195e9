/**
 * How passwords are hashed: a port, so that argon2 or a hardware module can take the place of scrypt.
 *
 * Hashes are PHC strings that carry their own parameters. Rejections count as "cannot answer", never as a mismatch.
 */
export interface PasswordHasher {
  hash(password: string): Promise<string>
  verify(password: string, stored: string): Promise<boolean>
  /** Whether a stored hash is weaker than what `hash` makes now: it is replaced at the next login. */
  needsRehash(stored: string): boolean
}
