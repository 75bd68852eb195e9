/**
 * Keeps this process from going to sleep until the returned function is called.
 *
 * Writing to a socket wakes a sleeping process at the other end up, and the time this takes is charged to the
 * writer; on a virtual machine it is more than the writing. A client that has to wait for a slower server sleeps
 * more often, so the server would be charged twice for being slower.
 */
export function stayAwake() {
  let awake = true
  const turn = () => {
    if (awake) setImmediate(turn)
  }
  turn()
  return () => {
    awake = false
  }
}
