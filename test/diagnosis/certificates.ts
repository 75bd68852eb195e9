import { generate } from 'selfsigned'

interface Certificate {
  readonly key: string
  readonly cert: string
}

const day = 86_400_000

/** Makes a certificate for 127.0.0.1, or for another name; valid from and to so many days from now. */
export async function certificate({
  name = 'localhost',
  subject = [{ shortName: 'CN', value: name }],
  from = -1,
  to = 1,
  ca,
}: {
  readonly name?: string
  readonly subject?: readonly { shortName: string; value: string }[]
  readonly from?: number
  readonly to?: number
  readonly ca?: Certificate
} = {}): Promise<Certificate> {
  const altNames = [
    { type: 2 as const, value: name },
    ...(name === 'localhost' ? [{ type: 7 as const, ip: '127.0.0.1' }] : []),
  ]
  const now = Date.now()
  const { private: key, cert } = await generate([...subject], {
    algorithm: 'sha256',
    keyType: 'ec',
    curve: 'P-256',
    notBeforeDate: new Date(now + from * day),
    notAfterDate: new Date(now + to * day),
    extensions: [{ name: 'subjectAltName', altNames }],
    ...(ca !== undefined && { ca: { key: ca.key, cert: ca.cert } }),
  })
  return { key, cert }
}
