/** Writes frames for handshakes: JSON that no serializer writes, other texts, and bytes. Seeded. */
import type { Random } from './random.ts'

/** Names and words of the protocols, and those of JavaScript's own. */
const names = (
  'type·auth·token·device·deviceToken·device_token·api_key·password·account·role·scopes·name·claim·claimSecret·params·payload·' +
  'id·method·connect·client·protocol·minProtocol·maxProtocol·min·max·publicKey·signature·signedAt·nonce·bootstrapToken·data·' +
  'mode·platform·__proto__·constructor·prototype·toString·toJSON·then·length·valueOf·hasOwnProperty·0·'
).split('·')
const words = (
  'auth·auth_refresh·req·connect·connection_init·ping·pong·subscribe·phx_join·heartbeat·node.auth.challenge-response·operator·' +
  'node·v3·__proto__·null·NaN·{}·|·,·=·\\u0000·\\ud800·\\udc00·\\ud83d\\ude00·\\u2028·é·Ａ·%00·../·<script>·'
).split('·')
const numbers = '0·-0·1·-1·3·4·1e308·1e309·-1e999·9007199254740993·0.1·1E+2·2147483648·1e-999'.split('·')
/** What JSON is not. */
const broken =
  'NaN·Infinity·-Infinity·undefined·01·+1·.5·1.·"·\'a\'·{·[·}·]·{"a"}·[1,]·{,}·tru·0x1·//·\u0000·\ufeff{}·"\\x"·"\\ud8"·\n'.split(
    '·',
  )

/** A JSON value as text. `good` comes in now and then, in any place. */
export function writeJson(random: Random, good: string, depth = 4): string {
  const key = (): string => JSON.stringify(random.pick(names))
  const leaf = (): string =>
    random.pick<() => string>([
      () => `"${random.pick(words)}"`,
      () => random.pick(numbers),
      () => random.pick(['true', 'false', 'null']),
      () => (random.oneIn(4) ? JSON.stringify(good) : key()),
      () => `"${'x'.repeat(random.below(random.oneIn(20) ? 5_000 : 40))}"`,
      () => (random.oneIn(10) ? random.pick(broken) : '""'),
    ])()
  if (depth === 0 || random.oneIn(3)) return leaf()
  const parts = random.below(5)
  const inner = (): string => writeJson(random, good, depth - 1)
  const space = random.oneIn(6) ? random.pick([' ', '\n', '\t\r\n ']) : ''
  if (random.oneIn(3)) return `[${space}${random.many(parts, parts, inner).join(',')}]`
  // The same key may come twice.
  return `{${random.many(parts, parts, () => `${key()}${space}:${inner()}`).join(',')}}`
}

/** A message of one of the protocols, with anything in the place of some of its values. */
export function writeMessage(random: Random, good: string): string {
  const any = (usual: string): string => (random.oneIn(4) ? writeJson(random, good, 2) : usual)
  const token = (): string => any(JSON.stringify(random.oneIn(3) ? good : `${good}x`))
  return random.pick<() => string>([
    () =>
      `{"type":${any('"auth"')},"token":${token()},"role":${any('"node"')},"scopes":${any('["node.run"]')}}`,
    () =>
      `{"type":"auth","device":${any(`{"publicKey":${any('"AAAA"')},"signature":${any('"AAAA"')},"signedAt":${any('1')}}`)},"claim":${any('null')},"token":${token()}}`,
    () => `{"type":"auth_refresh","token":${token()}}`,
    () => `{"auth":${any(`{"token":${token()}}`)}}`,
    () => `[${any('"1"')},"2",${any('"room"')},${any('"phx_join"')},${any(`{"token":${token()}}`)}]`,
    () => `{"type":${any('"connection_init"')},"payload":${any(`{"token":${token()}}`)}}`,
    () => `{"type":${random.pick(['"ping"', '"pong"'])},"payload":${any('{}')}}`,
    () => `{"id":${any('1')},"connect":${any(`{"token":${token()}}`)}}${random.oneIn(3) ? '\n{"id":2}' : ''}`,
    () =>
      `{"type":${any('"req"')},"id":${any('"c1"')},"method":${any('"connect"')},"params":{"minProtocol":${any('3')},"maxProtocol":${any('4')},"client":${any('{"id":"x"}')},"role":${any('"node"')},"scopes":${any('[]')},"auth":${any(`{"token":${token()}}`)},"device":${any('null')}}}`,
    () =>
      `{"type":"req","id":"c2","method":"node.auth.challenge-response","params":${any('{"signature":"AAAA"}')}}`,
    () => random.pick(['[', '{"a":', '[{"a":']).repeat(1 + random.below(random.oneIn(10) ? 12_000 : 40)),
    () => `${'['.repeat(3_000)}${']'.repeat(3_000)}`,
    () => `{${Array.from({ length: random.below(500) }, (_, i) => `"k${i}":${i}`).join(',')}}`,
    () => writeJson(random, good),
    () => random.pick(broken),
    () => `${writeJson(random, good)}${writeJson(random, good)}`,
  ])()
}
