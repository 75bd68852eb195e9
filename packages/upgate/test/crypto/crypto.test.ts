import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { equalDigests } from '../../src/crypto/equal.ts'
import { scryptHasher } from '../../src/crypto/password.ts'
import { sha256 } from '../../src/crypto/sha256.ts'
import { createId, createToken, parseToken, tokenLength } from '../../src/crypto/tokens.ts'

describe('tokens', () => {
  test('have a fixed form whatever the random bytes are', () => {
    for (const fill of [0, 1, 255]) {
      const bytes = (size: number) => new Uint8Array(size).fill(fill)
      const id = createId(bytes)
      const token = createToken('ugk', id, bytes)
      expect(token).toHaveLength(tokenLength)
      expect(token).toMatch(/^ugk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/)
      expect(parseToken('ugk', token)).toEqual({ id })
      expect(parseToken('ugd', token)).toHaveProperty('problem')
    }
  })

  test('carry all 256 bits of their secret', () => {
    const seen = new Set<string>()
    for (let bit = 0; bit < 256; bit++) {
      const secret = new Uint8Array(32)
      secret[bit >> 3] = 1 << (bit & 7)
      seen.add(createToken('ugk', 'a'.repeat(12), () => secret).slice(17, 60))
    }
    expect(seen.size).toBe(256)
  })

  test('notice every single mistyped or swapped character', () => {
    const token = createToken('ugk', createId(randomBytes), randomBytes)
    for (let i = 4; i < token.length; i++) {
      if (i === 16) continue
      const other = token[i] === 'x' ? 'y' : 'x'
      expect(parseToken('ugk', token.slice(0, i) + other + token.slice(i + 1)), `${i}`).toHaveProperty(
        'problem',
      )
    }
  })
})

describe('digests', () => {
  test('are SHA-256 in base64url', () => {
    expect(sha256('abc')).toBe('ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0')
  })

  test('are compared as a whole', () => {
    expect(equalDigests('abc', 'abc')).toBe(true)
    expect(equalDigests('abc', 'abd')).toBe(false)
    expect(equalDigests('abc', 'abcd')).toBe(false)
    expect(equalDigests('', '')).toBe(true)
  })
})

describe('scrypt', () => {
  // The weakest allowed parameters: these tests are not about strength.
  const weak = { ln: 14, r: 8, p: 1 }

  test('writes PHC strings with a fresh salt, and verifies them', async () => {
    const hasher = scryptHasher(weak)
    const [a, b] = await Promise.all([hasher.hash('p\u00e4ssword'), hasher.hash('p\u00e4ssword')])
    expect(a).toMatch(/^\$scrypt\$ln=14,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
    expect(a).not.toBe(b)
    expect(await hasher.verify('p\u00e4ssword', a)).toBe(true)
    expect(await hasher.verify('password', a)).toBe(false)
    expect(await hasher.verify('', a)).toBe(false)
  })

  test('agrees with the test vector of RFC 7914 section 12', async () => {
    // scrypt("pleaseletmein", "SodiumChloride", N=16384, r=8, p=1), as far as 32 bytes go; the salt is padded here,
    // so the derivation is checked through node:crypto with the same parameters.
    const { scryptSync } = await import('node:crypto')
    const key = scryptSync('pleaseletmein', 'SodiumChloride', 64, { N: 16384, r: 8, p: 1 })
    expect(key.toString('hex')).toMatch(/^7023bdcb3afd7348461c06cd81fd38eb/)
    const salt = Buffer.from('SodiumChloride16')
    const own = scryptSync('pleaseletmein', salt, 32, { N: 16384, r: 8, p: 1 })
    const text = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
    expect(
      await scryptHasher(weak).verify('pleaseletmein', `$scrypt$ln=14,r=8,p=1$${text(salt)}$${text(own)}`),
    ).toBe(true)
  })

  test('knows weaker parameters, and does not weaken stronger ones', async () => {
    const stored = await scryptHasher(weak).hash('x')
    expect(scryptHasher(weak).needsRehash(stored)).toBe(false)
    expect(scryptHasher().needsRehash(stored)).toBe(true)
    expect(scryptHasher({ ...weak, p: 2 }).needsRehash(stored)).toBe(true)
    expect(scryptHasher(weak).needsRehash(stored.replace('ln=14', 'ln=16'))).toBe(false)
    expect(scryptHasher(weak).needsRehash('$argon2id$...')).toBe(true)
  })

  test('does not call a hash that it cannot read a wrong password, nor spend memory on it', async () => {
    const hasher = scryptHasher(weak)
    const stored = await hasher.hash('x')
    for (const bad of [
      '',
      'x',
      '$argon2id$v=19$m=1,t=1,p=1$a$b',
      stored.slice(0, -1),
      stored.replace('ln=14', 'ln=31'),
      stored.replace('r=8', 'r=99'),
    ]) {
      await expect(hasher.verify('x', bad), bad).rejects.toThrow(/PHC/)
    }
  })

  test('misconfiguration throws and names the option', () => {
    expect(() => scryptHasher({ ln: 13 })).toThrow(/`ln`/)
    expect(() => scryptHasher({ r: 0 })).toThrow(/`r`/)
    expect(() => scryptHasher({ p: 1.5 })).toThrow(/`p`/)
  })
})
