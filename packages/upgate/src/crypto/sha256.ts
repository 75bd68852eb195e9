import { digest } from './digest.ts'

/**
 * SHA-256 of a UTF-8 string in base64url, 43 characters: the form in which tokens are stored and looked up.
 */
export function sha256(text: string): string {
  return digest('sha256', text, 'base64url')
}
