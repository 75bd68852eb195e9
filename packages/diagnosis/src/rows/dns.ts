import { type Row, rowsOf } from '../row.ts'

export const dnsRows: readonly Row[] = rowsOf('dns', [
  {
    code: 'dns_not_found',
    title: 'The name of the server does not exist',
    sees: '`getaddrinfo ENOTFOUND gateway.example.com`.',
    cause:
      'The name is misspelt, has no record yet, or is known on another network only (a VPN, a private zone).',
    action:
      'Check the spelling, and look the name up with `nslookup` or `dig`. Connect the VPN if the name needs it.',
    retry: 'backoff',
    confusableWith: [
      {
        code: 'dns_temporary',
        probe: 'Look up another name: if that fails as well, the resolver does not work.',
      },
    ],
    matches: ({ error }) =>
      error.code === 'ENOTFOUND' ||
      error.code === 'ENODATA' ||
      /\bENOTFOUND\b|name or service not known|nodename nor servname|no address associated/i.test(
        error.message,
      ),
  },
  {
    code: 'dns_temporary',
    title: 'The resolver did not answer',
    sees: '`getaddrinfo EAI_AGAIN gateway.example.com`, or a time-out before any address is known.',
    cause: 'The DNS server is out of reach or overloaded, often because this computer has no network.',
    action: 'Check the network and the resolver’s settings, then try again.',
    retry: 'backoff',
    confusableWith: [
      { code: 'dns_not_found', probe: 'Look up another name: if that works, this name is the problem.' },
    ],
    matches: ({ error, reached }) =>
      /^(?:EAI_AGAIN|EAI_FAIL|ESERVFAIL|EREFUSED|DNS_TIMEOUT)$/.test(error.code) ||
      /\bEAI_AGAIN\b|temporary failure in name resolution/i.test(error.message) ||
      (error.timedOut && reached === 'nothing'),
  },
])
