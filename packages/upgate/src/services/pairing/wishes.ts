import type { DeviceWish } from '../../core/contract/device-proof.ts'
import { checkNames } from '../record-input.ts'

/** The role and the scopes of a wish; `undefined` if one of them could not be held by any credential. */
export function namesOf(wish: DeviceWish): { role?: string; scopes?: readonly string[] } | undefined {
  try {
    return {
      ...(wish.role !== undefined && { role: checkNames('roles', [wish.role])[0] as string }),
      ...(wish.scopes !== undefined && { scopes: checkNames('scopes', wish.scopes) }),
    }
  } catch {
    return undefined
  }
}

/** What a device says about itself, in one line that is safe to show; `undefined` where it says nothing. */
export function statedIn({ platform, deviceFamily }: DeviceWish): string | undefined {
  const said = [platform, deviceFamily].map((value) => readable(value, 40).toLowerCase())
  const text = said.filter((value) => value !== '').join(', ')
  return text === '' ? undefined : text
}

/** Makes a name safe to show: it cannot break a page or reverse the direction of its text. */
export function readableName(name: string | undefined): string {
  return readable(name, 50) || 'unnamed device'
}

function readable(value: string | undefined, longest: number): string {
  const plain = (value ?? '')
    .slice(0, 400)
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '')
    .trim()
  return [...plain].slice(0, longest).join('').trim()
}
