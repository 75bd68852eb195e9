import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from './paths.mjs'

/**
 * The pages of docs/diagnosis: one for each code of the table of `@upgate/diagnosis`, and an index by layer.
 *
 * @returns {Promise<Map<string, string>>} The text of each file, by its name
 */
export async function writeDiagnosisPages() {
  const entry = join(root, 'packages', 'diagnosis', 'dist', 'index.js')
  /** @type {typeof import('../../packages/diagnosis/src/index.ts')} */
  const { diagnoses, layers } = await import(pathToFileURL(entry).href)
  const titles = new Map(diagnoses.map(({ code, title }) => [code, title]))
  const texts = new Map([['README.md', index(diagnoses, layers)]])
  for (const each of diagnoses) texts.set(`${each.code}.md`, page(each, titles))
  return texts
}

/** What each layer is, for the index. */
const layerTexts = {
  client: 'the client itself',
  url: 'the URL',
  dns: 'the name',
  tcp: 'the connection',
  tls: 'the encryption',
  http: 'the HTTP conversation',
  proxy: 'a proxy in front of the server, or one of the client’s network',
  'edge-bot': 'filters of Cloudflare’s edge',
  'edge-access': 'Cloudflare Access',
  'edge-error': 'errors of Cloudflare’s edge',
  tunnel: 'the tunnel to the server',
  'wrong-server': 'another server than the gate',
  'origin-auth': 'the gate: identity, permission and limits',
  'origin-pairing': 'the gate: pairing of devices',
  protocol: 'the request, the frames and the close codes',
  net: 'the end of an open socket',
}

const retryTexts = {
  never: 'No: the answer would be the same. A client stops.',
  after_new_credential: 'Once, with another credential.',
  backoff: 'Yes, with growing and random pauses; a time that the server names counts as the shortest.',
}

/**
 * @param {readonly import('../../packages/diagnosis/src/index.ts').DiagnosisEntry[]} diagnoses
 * @param {readonly import('../../packages/diagnosis/src/index.ts').Layer[]} layers
 */
function index(diagnoses, layers) {
  const parts = layers.map((layer) => {
    const rows = diagnoses.filter((each) => each.layer === layer)
    const lines = rows.map(
      ({ code, title, retry }) => `| [\`${code}\`](${code}.md) | ${title} | \`${retry}\` |`,
    )
    return `## ${layer}\n\nThe cause is in ${layerTexts[layer]}.\n\n| Code | What happened | Retry |\n| --- | --- | --- |\n${lines.join('\n')}\n`
  })
  return `# Diagnoses

Why a connection failed: every code of [\`diagnose\`](../api/upgate.diagnosis.md#diagnose), by the layer that ended the
attempt, in the order in which an attempt passes the layers. The pages are generated from the table in
\`packages/diagnosis/src/rows\`: change it, then say \`npm run build && node scripts/diagnosis.mjs\`.

[Situations](situations.md) lists the failures that tests produce for real, with the verdicts of client and doctor.

${parts.join('\n')}`
}

/**
 * @param {import('../../packages/diagnosis/src/index.ts').DiagnosisEntry} entry
 * @param {ReadonlyMap<string, string>} titles
 */
function page({ code, layer, severity, title, sees, cause, action, retry, confusableWith }, titles) {
  const others = confusableWith.map(
    (other) => `- [${titles.get(other.code)}](${other.code}.md) (\`${other.code}\`). ${other.probe}`,
  )
  const confusable = others.length === 0 ? '' : `\n## Easily confused with\n\n${others.join('\n')}\n`
  return `# ${title}

Code \`${code}\`, layer [${layer}](README.md#${layer}), severity ${severity}.

## What you see

${sees}

## Why

${cause}

## What to do

${action}

## Does it help to try again?

${retryTexts[retry]}
${confusable}`
}
