import { createRequire } from 'node:module'
import { cpus } from 'node:os'

/** @param {string} name */
function versionOf(name) {
  const { version } = createRequire(import.meta.url)(`${name}/package.json`)
  return `${name} ${version}`
}

/**
 * What was measured, where and how: a figure without it means nothing.
 *
 * @param {import('./options.mjs').Options} options
 * @param {number} minutes
 */
export function describe({ rounds, seed }, minutes) {
  const processors = cpus()
  return `# Results

${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}, ${process.platform}; ${['upgate', 'express', 'koa', 'ws'].map(versionOf).join(', ')}. ${rounds} interleaved rounds in ${minutes.toFixed(1)} minutes, seed ${seed}. Written by \`npm run bench -w bench -- --write\`.

## How to read it

- A figure is a **ratio within this run**; absolute values are of this machine, on this day. Each is the median of ${rounds} ratios of one round, with its 95 % interval (bootstrap of the median, ${'4,000'} resamples) in brackets. A target is met only if the bad end of the interval meets it.
- **Throughput** ratios above 1 and **CPU** ratios below 1 are good. CPU is what the server's own process spent (\`process.cpuUsage\`), garbage collection included: it suffers less from whatever else the machine does.
- **Control**: the bare server, measured as if it were another one. How far its interval is from 1 is how far any of these figures may be off.
- **By hand** is the smallest code that does the same work: one \`Map\` of public paths, and \`crypto.hash('sha256')\` of the token, a \`Map\` of known digests, an expiry check. It has no rules, no canonical paths, no Origin or Host check, no revocation and no limits.

## What is measured

The compiled package, through its public entries only, with three schemes (session cookie, API key, device token), six rules, and records in memory. Credentials have been verified before, so every look-up is a cache hit, as it is for a credential in use; the token is hashed each time.

- **decide()**: in one process a round, floor and gate in alternating batches of 256 requests, median batch. Each request is a new object with new strings, as the HTTP parser makes them, and eight headers (Host, seven common ones), plus the credential's. The first row alone uses one request over and over. Garbage collection falls into few batches and so hardly counts here; it does below.
- **Requests**: a fresh server and a fresh client process for every sample, in random order. 16 keep-alive connections on loopback with one GET under way each, from a small client over \`node:net\`; 8 headers, 9 with the key; an answer of two bytes. 0.3 s warm-up, 0.4 s measured.
- **WebSocket**: a fresh server and client for every sample, in random order. 32 sockets at a time are opened, each on a new TCP connection and, told by a trusted proxy's \`X-Forwarded-For\`, from an address of its own; 1,500 first, then 3,000 that are measured and kept open. Memory is taken after a full garbage collection, before and after those 3,000. No compression. Every limit of the quarantine is on; the number of sockets and the deadline are raised to fit the sample. Accepted sockets belong to 100 devices in turn; plain ws answers their frame, which it does not look at, with as many bytes.
`
}
