/** The connection of a gateway to another one, as its API shows it. */
export interface RemoteView {
  readonly state: string
  readonly url: string | null
  readonly pairing?: { readonly comparisonCode?: string; readonly requestId?: string }
  readonly failure?: {
    readonly code: string
    readonly layer: string
    readonly title: string
    readonly action: string
  }
}

/** A pairing request, as the API shows it. */
export interface PendingPairing {
  readonly id: string
  readonly comparisonCode: string
  readonly name: string
}

/** The API of one gateway, for the admin. */
export interface GatewayApi {
  /** Asks for JSON; throws an error with the code of the gateway for every refusal. */
  ask(method: string, path: string, body?: object): Promise<unknown>
  remote(): Promise<RemoteView>
  pending(): Promise<readonly PendingPairing[]>
  nodes(): Promise<readonly { readonly id: string; readonly name: string; readonly role: string }[]>
}

/** Logs the admin in. */
export async function logIn(port: number, email: string, password: string): Promise<GatewayApi> {
  const origin = `http://127.0.0.1:${port}`
  const send = (
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: object,
  ): Promise<Response> =>
    fetch(`${origin}${path}`, {
      method,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    })
  const answer = await send('POST', '/api/auth/login', {}, { email, password })
  if (answer.status !== 204) throw await errorOf(answer)
  const cookie = answer.headers
    .getSetCookie()
    .map((line) => line.split(';')[0])
    .join('; ')
  const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
    const response = await send(method, path, { cookie }, body)
    if (!response.ok) throw await errorOf(response)
    return response.status === 204 ? undefined : response.json()
  }
  return {
    ask,
    remote: async () => (await ask('GET', '/api/remote')) as RemoteView,
    pending: async () =>
      ((await ask('GET', '/api/pairings')) as { readonly requests: readonly PendingPairing[] }).requests,
    nodes: async () =>
      ((await ask('GET', '/api/nodes')) as { readonly nodes: Awaited<ReturnType<GatewayApi['nodes']>> })
        .nodes,
  }
}

async function errorOf(response: Response): Promise<Error> {
  const { code = response.status, detail = '' } = (await response.json().catch(() => ({}))) as {
    readonly code?: string
    readonly detail?: string
  }
  return new Error(`${code}: ${detail}`)
}
