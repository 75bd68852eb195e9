import type { Scheme } from '../contract/credential.ts'
import type { Decision, Refused } from '../contract/decision.ts'
import type { AuditEvents, EventPlace } from '../contract/events.ts'
import type { Principal } from '../contract/principal.ts'
import type { AuthRequest } from '../contract/request.ts'
import type { FaultLog } from '../faults/fault-log.ts'
import type { Clock } from '../ports/clock.ts'
import type { ClientAddresses } from '../request/client-address.ts'
import type { OriginPolicy } from '../request/origin.ts'
import { pathOf } from '../request/target.ts'
import type { WayFinding, WaySign } from '../way/finding.ts'
import { readAllowed, readWay } from '../way/read-way.ts'
import { readsAuthorization } from './ignored-authorization.ts'

/** The parts that {@link WayReports} need. */
export interface WayReportParts {
  readonly schemes: readonly Scheme[] | readonly Scheme<never>[]
  readonly originPolicy: OriginPolicy
  readonly clientAddresses: ClientAddresses
  readonly events: AuditEvents
  readonly faults: FaultLog
  readonly clock: Clock
}

/** Milliseconds until requests that are let in may be warned of again. */
const hour = 3_600_000

/** Log lines are counted by these texts. */
const titles: Readonly<Record<WaySign | 'clock', string>> = {
  host_replaced: 'A request was refused for its Host.',
  host_port_dropped: 'A request was refused for its Host.',
  host_missing: 'A request was refused for its Host.',
  origin_removed: 'A credential did not count, because the Origin is missing.',
  origin_written: 'An Origin contradicts what the browser says.',
  origin_on_navigation: 'A proxy seems to write Origin.',
  upgrade_lost: 'The Upgrade header of a WebSocket was lost on the way.',
  upgrade_added: 'A proxy seems to add Upgrade to ordinary requests.',
  authorization_unread: 'A request was refused for an Authorization header that no scheme reads.',
  client_in_proxies: 'The address of a refused client is unknown.',
  client_unnamed: 'The address of a refused client is unknown.',
  edge_counted: 'The address that counts contradicts CF-Connecting-IP.',
  clock: 'A credential was refused, because the clocks of its issuer and of this server differ.',
}

/** Tells the operator of decisions: as events, and in the log where something on the way may be the cause. */
export class WayReports {
  readonly #parts: WayReportParts
  /** When a sign on requests that are let in was last logged. */
  readonly #told = new Map<WaySign, number>()
  readonly #readWords = new Map<string, boolean>()

  constructor(parts: WayReportParts) {
    this.#parts = parts
  }

  /** Reads the signs of changes that proxies made to a request. */
  read(request: AuthRequest, decision: Decision<never> | Decision): readonly WayFinding[] {
    const { originPolicy: policy, clientAddresses: addresses } = this.#parts
    const code = 'code' in decision ? decision.code : undefined
    const isRead = (word: string): boolean => this.#isRead(word)
    return readWay({ request, code, policy, addresses, ambient: () => this.#ambientIn(request), isRead })
  }

  /** Emits the event of a decision. Of a refusal, it also logs what on the way may be the cause. */
  report(request: AuthRequest, decision: Decision): void {
    const { events } = this.#parts
    if ('code' in decision) this.#refused(request, decision)
    else if (decision.outcome === 'defer') this.#deferred(request, decision.rule.label)
    else if (events.active && (decision.outcome === 'allow' || decision.outcome === 'document')) {
      const principal: Principal | undefined = decision.outcome === 'allow' ? decision.principal : undefined
      events.emit({ type: 'allowed', ...this.#where(request), principal, rule: decision.rule.label })
    }
  }

  /** Logs, at most once an hour each, the signs that say more about the way than about the request. */
  look(request: AuthRequest, decision: Decision): void {
    const finding = readAllowed(request, this.#parts.originPolicy)
    // A refusal logs this one itself.
    if (finding === undefined || ('code' in decision && finding.sign === 'origin_written')) return
    const now = this.#parts.clock.now()
    const last = this.#told.get(finding.sign)
    if (last !== undefined && now >= last && now - last < hour) return
    this.#told.set(finding.sign, now)
    this.#parts.faults.warn(titles[finding.sign], { reason: finding.sentence })
  }

  #refused(request: AuthRequest, refused: Refused): void {
    const { events, faults } = this.#parts
    const findings = this.read(request, refused)
    if (findings.length === 0 && refused.clocksDiffer !== true && !events.active) return
    const sentences = findings.map((finding) => finding.sentence)
    const reason = refused.reason === undefined ? sentences : [refused.reason, ...sentences]
    const text = reason.length === 0 ? undefined : reason.join(' ')
    const { code, status, detail, principal, rule, scheme, note } = refused
    const fields = { code, ...(note === undefined ? {} : { note }), reason: text }
    const first = findings.find(({ sign }) => sign !== 'origin_on_navigation' && sign !== 'upgrade_added')
    if (first !== undefined) faults.warn(titles[first.sign], fields)
    else if (refused.clocksDiffer === true) faults.warn(titles.clock, fields)
    if (!events.active) return
    const said = { code, status, detail, principal, rule: rule?.label, scheme, note, reason: text }
    events.emit({ type: 'refused', ...this.#where(request), ...said })
  }

  #deferred(request: AuthRequest, rule: string): void {
    const { events, faults } = this.#parts
    // A page whose Origin was removed on the way waits in quarantine for a first frame that never comes.
    const isRemoved = request.headers.cookie !== undefined && request.headers.origin === undefined
    const removed = isRemoved
      ? this.read(request, { outcome: 'defer' } as Decision).find(({ sign }) => sign === 'origin_removed')
      : undefined
    const reason = removed?.sentence
    if (removed !== undefined) faults.warn(titles[removed.sign], { reason })
    if (events.active) events.emit({ type: 'deferred', ...this.#where(request), rule, reason })
  }

  #where(request: AuthRequest): { readonly at: number; readonly place: EventPlace } {
    const { clock, clientAddresses } = this.#parts
    const place = {
      method: request.method,
      path: pathOf(request.target).slice(0, 256),
      clientAddress: clientAddresses.of(request),
      peerAddress: request.peerAddress,
    }
    return { at: clock.now(), place }
  }

  /** The names of cookies and the like that a request has. Only where they did not count: it asks the schemes again. */
  #ambientIn(request: AuthRequest): readonly string[] {
    return (this.#parts.schemes as readonly Scheme[]).flatMap((scheme) => {
      if (!scheme.ambient) return []
      try {
        return scheme.extract?.(request)?.location ?? []
      } catch {
        return []
      }
    })
  }

  /** Asked only about usual scheme words, which are few. */
  #isRead(word: string): boolean {
    const known = this.#readWords.get(word)
    if (known !== undefined) return known
    const read = this.#parts.schemes.some((scheme) => readsAuthorization(scheme, word))
    // Clients choose the case.
    if (this.#readWords.size < 64) this.#readWords.set(word, read)
    return read
  }
}
