/**
 * Rules and a watch for servers that are an OAuth authorization server or a protected resource themselves.
 *
 * @example
 * import { createGate } from 'upgate'
 * import { oauthRules } from 'upgate/oauth'
 *
 * const origin = 'https://gateway.example.com'
 * const gate = createGate({ origins: [origin], schemes, rules: oauthRules({ resources: ['/mcp'], origin }) })
 *
 * @module
 */
export {
  type CodeNotRedeemed,
  type CodeWatch,
  type CodeWatchOptions,
  createCodeWatch,
} from './oauth/code-watch.ts'
export { type OAuthPaths, type OAuthRulesOptions, oauthRules } from './oauth/oauth-rules.ts'
export type { OAuthResource } from './oauth/resource-rules.ts'
export { type WatchCodesOptions, watchCodes } from './oauth/watch-codes.ts'
