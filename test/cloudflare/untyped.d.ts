/** What the tests use of a library that comes without types. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  interface Code {
    readonly jti: string
    readonly clientId: string
  }
  interface Grant {
    addOIDCScope(scope: string): void
    addResourceScope(resource: string, scope: string): void
    save(): Promise<string>
  }
  export default class Provider {
    constructor(issuer: string, configuration: object)
    proxy: boolean
    callback(): (request: IncomingMessage, response: ServerResponse) => void
    on(
      event: 'authorization_code.saved' | 'authorization_code.consumed',
      listener: (code: Code) => void,
    ): void
    interactionDetails(
      request: IncomingMessage,
      response: ServerResponse,
    ): Promise<{
      readonly params: { readonly client_id: string; readonly scope?: string }
      readonly grantId?: string
      readonly prompt: {
        readonly name: string
        readonly details: {
          readonly missingOIDCScope?: readonly string[]
          readonly missingResourceScopes?: Readonly<Record<string, readonly string[]>>
        }
      }
    }>
    interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>
    readonly Grant: {
      new (options: { readonly accountId: string; readonly clientId: string }): Grant
      find(id: string): Promise<Grant | undefined>
    }
    readonly AccessToken: {
      find(value: string): Promise<
        | {
            readonly accountId: string
            readonly exp: number
            readonly jti: string
            readonly aud?: string | readonly string[]
            readonly scope?: string
          }
        | undefined
      >
    }
  }
}
