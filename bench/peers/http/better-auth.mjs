import { apiKey } from '@better-auth/api-key'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'

/** better-auth with its own store in memory, one account, one session and one key; without its limit of requests. */
export async function createBetterAuth() {
  const auth = betterAuth({
    baseURL: 'https://gateway.example.com',
    secret: 'a secret of the application, and long enough for it',
    database: memoryAdapter({ user: [], session: [], account: [], verification: [], apikey: [] }),
    emailAndPassword: { enabled: true },
    plugins: [apiKey({ rateLimit: { enabled: false } })],
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { level: 'error' },
  })
  const response = await auth.api.signUpEmail({
    body: { name: 'Alice', email: 'alice@example.com', password: 'correct horse battery staple' },
    asResponse: true,
  })
  const { user } = await response.clone().json()
  const { key } = await auth.api.createApiKey({ body: { userId: user.id } })
  const cookie = response.headers
    .getSetCookie()
    .map((each) => each.split(';')[0])
    .join('; ')
  return { auth, key, cookie }
}
