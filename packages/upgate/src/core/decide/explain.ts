import type { Explanation } from '../contract/explanation.ts'
import type { Principal } from '../contract/principal.ts'
import type { AuthRequest } from '../contract/request.ts'
import { compiledRuleOf } from '../contract/rules.ts'
import type { ClientAddresses } from '../request/client-address.ts'
import { analyseTarget } from '../request/target.ts'
import { asksForWebSocket } from '../request/upgrade-request.ts'
import { whyNot } from '../rules/matcher.ts'
import type { RulePattern } from '../rules/pattern.ts'
import type { Engine } from './engine.ts'
import { Trace } from './trace.ts'
import type { WayReports } from './way-reports.ts'

/** The parts that explaining needs in addition to the engine. */
export interface ExplainParts {
  readonly patterns: readonly RulePattern[]
  readonly clientAddresses: ClientAddresses
  readonly reports: Pick<WayReports, 'read'>
}

/** Longest list of readings shown; the rest is counted. */
const shownReadings = 8

/** Explains a decision by taking it once more, with a trace and without any effect. */
export async function explain<P extends Principal>(
  engine: Engine<P>,
  parts: ExplainParts,
  request: AuthRequest,
): Promise<Explanation<P>> {
  const trace = new Trace()
  const upgrade = asksForWebSocket(request)
  trace.add('request', `${request.kind} ${request.method}${upgrade ? ', asks for a WebSocket' : ''}`)
  trace.add('client', parts.clientAddresses.of(request) ?? 'unknown: counts against global limits only')
  for (const target of [request.target, request.rewrittenTarget]) {
    if (target !== undefined) traceTarget(trace, parts.patterns, target, request.method, upgrade)
  }
  const decision = await engine.decide(request, trace)
  const rule = 'rule' in decision ? compiledRuleOf(decision.rule) : undefined
  if (rule !== undefined)
    trace.add(
      'rule',
      `${rule.label}: ${rule.access}, kinds ${rule.kinds.join(', ')}${rule.kindsOfSchemes === true ? ' (by default those that its schemes yield)' : ''}${demands(rule)}`,
    )
  trace.add(
    'decision',
    'code' in decision ? `${decision.outcome}: ${decision.code}. ${decision.detail}` : decision.outcome,
  )
  if ('note' in decision && decision.note !== undefined) trace.add('note', decision.note)
  if ('reason' in decision && decision.reason !== undefined) trace.add('reason', decision.reason)
  for (const { sentence } of parts.reports.read(request, decision)) trace.add('way', sentence)
  return { decision, steps: trace.steps }
}

function demands(rule: {
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  readonly schemes: readonly string[] | undefined
  readonly audience: readonly string[] | undefined
  readonly anyOrigin: boolean
}): string {
  const scopes = rule.scopes.length === 0 ? '' : `, scopes ${rule.scopes.join(' ')}`
  const roles = rule.roles.length === 0 ? '' : `, one of the roles ${rule.roles.join(' ')}`
  const audience = rule.audience === undefined ? '' : `, edge applications ${rule.audience.join(' ')}`
  const pages = rule.anyOrigin ? ', pages of every origin, nothing ambient' : ''
  return `${scopes}${roles}${audience}${pages}${rule.schemes === undefined ? '' : `, schemes ${rule.schemes.join(' ')}`}`
}

function traceTarget(
  trace: Trace,
  patterns: readonly RulePattern[],
  raw: string,
  method: string,
  upgrade: boolean,
): void {
  const target = analyseTarget(raw)
  if (target === 'ambiguous') {
    trace.add('target', 'not canonical, with too many readings')
    return
  }
  if ('malformed' in target) {
    trace.add('target', `malformed: ${target.malformed}`)
    return
  }
  if (target.readings === undefined) trace.add('target', `${target.path} is in canonical form`)
  else {
    const shown = target.readings.slice(0, shownReadings).map((reading) => JSON.stringify(reading))
    const more = target.readings.length - shown.length
    trace.add(
      'target',
      `${JSON.stringify(target.path)} is not in canonical form; it may be read as ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`,
    )
  }
  for (const entry of patterns) {
    const reason = whyNot(entry, target, method, upgrade)
    trace.add(
      `rules[${entry.rule.index}] ${entry.pattern.source}`,
      reason === undefined ? 'matches' : `does not match: ${reason}`,
    )
    if (reason === undefined) break
  }
}
