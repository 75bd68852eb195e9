import { type KeyObject, sign } from 'node:crypto'

/** Wraps DER content in a tag and a definite length (X.690, section 8.1). */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const SHA256_WITH_RSA = der(0x30, Buffer.from('06092a864886f70d01010b', 'hex'), Buffer.from('0500', 'hex'))
const COMMON_NAME = Buffer.from('0603550403', 'hex')

function utcTime(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().replace(/[-:T]/g, '')
  return der(0x17, Buffer.from(`${digits.slice(2, 14)}Z`))
}

/**
 * Creates the self-signed X.509 certificate (PEM) that the certs document lists for each JWK.
 *
 * Verifiers of the older kind read `public_certs` instead of `keys`; a year of validity covers any test.
 */
export function selfSigned(
  commonName: string,
  keys: { publicKey: KeyObject; privateKey: KeyObject },
  at: number,
): string {
  const name = der(0x30, der(0x31, der(0x30, COMMON_NAME, der(0x0c, Buffer.from(commonName)))))
  const validity = der(0x30, utcTime(at - 86_400_000), utcTime(at + 365 * 86_400_000))
  const publicKey = keys.publicKey.export({ type: 'spki', format: 'der' })
  const body = der(0x30, der(0x02, Buffer.from([1])), SHA256_WITH_RSA, name, validity, name, publicKey)
  const signature = sign('sha256', body, keys.privateKey)
  const pem = der(0x30, body, SHA256_WITH_RSA, der(0x03, Buffer.from([0]), signature)).toString('base64')
  return `-----BEGIN CERTIFICATE-----\n${pem.replace(/(.{64})(?=.)/g, '$1\n')}\n-----END CERTIFICATE-----\n`
}
