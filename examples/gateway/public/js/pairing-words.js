/**
 * Says how long ago a device asked. A device that waits asks again every few seconds; the server decides from when on a
 * silent one counts as gone.
 *
 * @param {{ silent: boolean, silentFor: number }} request
 */
export function askedWords({ silent, silentFor }) {
  return silent ? `silent for ${Math.floor(silentFor / 60)} min` : `asked ${silentFor} s ago`
}

/**
 * Says what became of a request.
 *
 * @param {{ state: string, device: { name: string, id: string, connected: boolean } | null, decidedBy: string | null }} outcome
 * @returns {[word: string, sentence: string]}
 */
export function outcomeWords({ state, device, decidedBy }) {
  const by = decidedBy === null ? '' : ` by ${decidedBy}`
  if (state === 'approved') return ['approved', `Approved${by}; waiting for the device to come back.`]
  if (state === 'rejected') return ['rejected', `Rejected${by}.`]
  if (state === 'expired')
    return device === null
      ? ['expired', 'It was not decided in time, or the device stopped asking. Let it connect again.']
      : ['expired', 'It was approved, but the device did not come back in time. Let it connect again.']
  const place = device === null ? '' : ` as device ${device.name} (${device.id})`
  return device?.connected
    ? ['connected', `Connected${place}.`]
    : ['collected', `It collected its token${place}; it is not connected now.`]
}
