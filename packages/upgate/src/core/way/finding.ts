/** A change that a proxy made to a request, by the traces of it. */
export type WaySign =
  | 'host_replaced'
  | 'host_port_dropped'
  | 'host_missing'
  | 'origin_removed'
  | 'origin_written'
  | 'origin_on_navigation'
  | 'upgrade_lost'
  | 'upgrade_added'
  | 'authorization_unread'
  | 'client_in_proxies'
  | 'client_unnamed'
  | 'edge_counted'

/**
 * One sign, and the sentence that the operator is told: the value that arrived, the expected one, and the line
 * that corrects it.
 */
export interface WayFinding {
  readonly sign: WaySign
  /** Quotes headers that a client sent, cut and escaped; never a credential. */
  readonly sentence: string
}

/** A value that came from the wire: cut, and without anything unprintable. */
export function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100).replace(/[^\x20-\x7e]/g, '?'))
}
