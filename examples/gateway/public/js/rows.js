/**
 * Brings the rows of a table in line with a list: rows that stay are changed in place, so that focus and
 * scroll position stay where they are.
 *
 * @param {string} name id of the table; `<name>-empty` is shown instead when the list is empty
 * @param {string} template id of the row's template
 * @param {readonly any[]} items
 * @param {(item: any) => string} keyOf
 * @param {(fields: (name: string) => HTMLElement, item: any, row: HTMLElement) => void} fill
 */
export function syncRows(name, template, items, keyOf, fill) {
  const table = document.getElementById(name)
  const body = table.tBodies[0]
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]))
  items.forEach((item, index) => {
    const key = keyOf(item)
    let row = known.get(key)
    known.delete(key)
    if (row === undefined) {
      row = cloneRow(template)
      row.dataset.key = key
      row.classList.add('new')
    }
    fill((field) => row.querySelector(`[data-f="${field}"]`), item, row)
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null)
  })
  for (const row of known.values()) row.remove()
  showEmpty(name, items.length === 0)
}

/** @param {string} template */
export function cloneRow(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true)
}

/** @param {string} name @param {boolean} empty */
export function showEmpty(name, empty) {
  document.getElementById(name).hidden = empty
  document.getElementById(`${name}-empty`).hidden = !empty
}
