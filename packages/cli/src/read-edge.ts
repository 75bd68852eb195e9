import { type Io, UsageError } from './io.ts'
import { readSecret } from './read-secret.ts'

/**
 * Reads the service token of Cloudflare Access: the id from an option or the environment, the secret as any other.
 *
 * @throws UsageError if one of the two is missing
 */
export async function readEdge(
  io: Io,
  option: string | undefined,
  file: string | undefined,
): Promise<{ readonly clientId: string; readonly clientSecret: string } | undefined> {
  const clientId = option ?? io.env.CF_ACCESS_CLIENT_ID
  const clientSecret = await readSecret(io, {
    option: '--edge-secret-file',
    file,
    variable: 'CF_ACCESS_CLIENT_SECRET',
  })
  if ((clientId ?? '') === '' && clientSecret === undefined) return undefined
  if (clientId === undefined || !/^[\x21-\x7e]{1,512}$/.test(clientId))
    throw new UsageError(
      'The client id of the edge is missing or malformed (--edge-id, CF_ACCESS_CLIENT_ID).',
    )
  if (clientSecret === undefined)
    throw new UsageError(
      'The client secret of the edge is missing (--edge-secret-file, CF_ACCESS_CLIENT_SECRET).',
    )
  return { clientId, clientSecret }
}
