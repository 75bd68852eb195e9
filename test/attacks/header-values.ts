/** Values of headers, and targets, that clients and proxies send, or that attackers would. */
import { origin } from './every-scheme.ts'

const list = (text: string): readonly string[] => text.split('·')
export const words: readonly string[] = list(
  'Basic·Bearer·bearer·BEARER·Bearer ·Bearer\t·Digest·DPoP·Negotiate·NTLM·Token·ApiKey·' +
    'AWS4-HMAC-SHA256·GNAP·HOBA·Mutual·PrivateToken·SCRAM-SHA-256·vapid·Hawk·Signature·' +
    'Bearer Bearer·Basic,Bearer·=·"Bearer"·',
)
export const hosts: readonly string[] = list(
  'gateway.example.com·gateway.example.com:443·GATEWAY.example.com·gateway.example.com.·[::1]·' +
    '[::1]:8787·[::ffff:10.0.0.9]:1·127.0.0.1:0·ada:pw@gateway.example.com·evil.example··:443·' +
    'gateway.example.com:443:443·gateway.example.com, evil.example·[::1·a b·xn--nxasmq6b·%00·..',
)
export const origins: readonly string[] = [
  ...Array(3).fill(origin),
  ...[':443', '/', '.', ' ', `, ${origin}`].map((end) => origin + end),
  ...list('null·https://evil.example·HTTPS://gateway.example.com·https://ada@gateway.example.com·file://··*'),
  ...list('http://gateway.example.com·https://gateway.example.com\u00e9·https://[::1]'),
]
export const addresses: readonly string[] = list(
  '198.51.100.1·10.0.0.9·127.0.0.1·::1·::ffff:10.0.0.9·[2001:db8::1]:443·10.0.0.9:1·unknown·' +
    '_hidden·0x0a.0.0.9·012.0.0.9·1.2.3·999.1.1.1·fe80::1%eth0··"·162.158.1.1·localhost',
)
export const paths: readonly string[] = list(
  '/x·/x·/x·/open·/feed·/maybe·/maybe·/nodes·/nodes·/live·/live·/login·/·*·/x?ticket=·' +
    '/live?ticket=·/live?ticket=a&ticket=b·/x?%00=%ff&%zz·/%6eodes·//open·/open/../x·' +
    'http://gateway.example.com/open·http://evil.example/x·/open;a=b·/OPEN·/x#y·/x?a?b·?·/%c0%af',
)
export const methods: readonly string[] = list(
  'GET·GET·GET·GET·POST·PUT·DELETE·HEAD·OPTIONS·PATCH·PROPFIND·TRACE',
)
export const siteWords: readonly string[] = list(
  'same-origin·none·cross-site·same-site··SAME-ORIGIN·same-origin, none·?1',
)
export const told: readonly string[] = list(
  'X-Forwarded-For·X-Real-IP·CF-Connecting-IP·CF-Connecting-IPv6·True-Client-IP·X-Client-IP',
)
export const cookieNames: readonly string[] = list(
  '__Host-upgate_session·upgate_session·__Secure-upgate_session·__host-upgate_session·' +
    'CF_Authorization· __Host-upgate_session·\t__Host-upgate_session··$Version·__proto__·' +
    'constructor·a·__Host-upgate_session ·"__Host-upgate_session"·__Host-upgate_session[]·' +
    'CF_Authorization_x',
)
export const oddNames: readonly string[] = list(
  "__proto__·constructor·hasOwnProperty·toString·x·!#$%&'*+-.^_`|~·Set-Cookie·Age·TE·x_api_key·" +
    'X.Api.Key·x-api-key-·authorization_·Proxy-Authorization·X-Device-Token·Via·Remote_User·' +
    'remote.user·REMOTE-USER·Remote-Groups·Remote-Email·Remote-Name·Expect·Range·' +
    'Cf-Access-Authenticated-User-Email·Cf-Access-Client-Id·Cf-Access-Client-Secret·CF-Ray·' +
    'CF-Visitor·Access-Control-Request-Method·Access-Control-Request-Headers·X-Original-URL·' +
    'X-Rewrite-URL·Accept·X-HTTP-Method-Override·X-Forwarded-Prefix·X-Forwarded-Server·' +
    'X-Forwarded-Port·Sec-Fetch-Dest',
)
