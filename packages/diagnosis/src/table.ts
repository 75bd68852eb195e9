import type { DiagnosisEntry } from './diagnosis.ts'
import type { Row } from './row.ts'
import { accessMissingRows, accessRows } from './rows/access.ts'
import { httpAnswerRows, lostUpgradeRows, wrongServerRows } from './rows/answers.ts'
import { clientRows, silentPeerRows } from './rows/client.ts'
import { applicationCloseRows, closeCodeRows, edgeCloseRows } from './rows/closes.ts'
import { dnsRows } from './rows/dns.ts'
import { botRows, edgeErrorRows, otherEdgeRows } from './rows/edge.ts'
import { fallbackRows, fineRows, unansweredRows } from './rows/fallback.ts'
import { httpRows } from './rows/http.ts'
import { browserRows, netRows, pageLoginRows } from './rows/net.ts'
import { badAnswerRows, closeRows, mismatchRows, webSocketRows } from './rows/protocol.ts'
import { proxyLoginRows, proxyRows, tunnelRows } from './rows/proxy.ts'
import { authRows, clockRows, endedRows, otherWordsRows, pairingRows, requestRows } from './rows/refusals.ts'
import { tailscaleRows, tcpRows } from './rows/tcp.ts'
import { tlsRows } from './rows/tls.ts'
import { urlRedirectRows, urlRows } from './rows/url.ts'

/** Every row, in the order of trial: the first one that matches is the verdict. */
export const rows: readonly Row[] = [
  ...clientRows,
  ...urlRows,
  ...dnsRows,
  ...tailscaleRows,
  ...tcpRows,
  ...tlsRows,
  // What a gate says counts before anything that an edge or proxy may add to its answer.
  ...accessMissingRows,
  ...lostUpgradeRows,
  ...clockRows,
  ...mismatchRows,
  ...authRows,
  ...pairingRows,
  ...requestRows,
  ...endedRows,
  ...otherWordsRows,
  // HTTP answers of others: the edge's first, because the edge comes before everything behind it.
  ...botRows,
  ...urlRedirectRows,
  ...accessRows,
  ...proxyLoginRows,
  ...tunnelRows,
  ...edgeErrorRows,
  ...otherEdgeRows,
  ...httpAnswerRows,
  ...proxyRows,
  ...wrongServerRows,
  // No HTTP answer, or a 101 and what came after it.
  ...httpRows,
  ...badAnswerRows,
  ...webSocketRows,
  ...unansweredRows,
  // Ends of open sockets.
  ...silentPeerRows,
  ...closeCodeRows,
  ...closeRows,
  ...edgeCloseRows,
  ...applicationCloseRows,
  ...pageLoginRows,
  ...netRows,
  ...fineRows,
  ...browserRows,
  ...fallbackRows,
]

/** The table without its code: for documentation, for a user interface, and for a command that explains a code. */
export const diagnoses: readonly DiagnosisEntry[] = rows.map(
  ({ code, layer, severity, title, sees, cause, action, retry, confusableWith }) => ({
    code,
    layer,
    severity,
    title,
    sees,
    cause,
    action,
    retry,
    confusableWith,
  }),
)
