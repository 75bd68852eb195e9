/**
 * For servers that are an OAuth authorization server or protected resource themselves, behind an edge.
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
