import type { Viewer } from '../context.ts'
import type { Part } from '../http/part.ts'
import type { ConnectedNode } from '../nodes.ts'
import type { InvitationView, PairingView } from '../pairing-views.ts'
import type { DeviceView } from '../routes/devices.ts'
import { type Html, html } from './html.ts'
import { page } from './layout.ts'
import { nodeCommand } from './node-command.ts'
import { pairingSection } from './pairings.ts'
import { confirmDialog, liveState, partLinks, time, tokenDialog } from './parts.ts'

export interface NodesPageOptions {
  readonly viewer: Viewer
  readonly nodes: readonly ConnectedNode[]
  readonly devices: Part<DeviceView>
  readonly pairings: readonly PairingView[]
  readonly invitations: readonly InvitationView[]
  /** Scopes of the account, the only ones that it can grant. */
  readonly held: readonly string[]
  /** Address of the node endpoint. */
  readonly nodeUrl: string
}

/** The connected nodes, and the devices. */
export function nodesPage(options: NodesPageOptions): Html {
  const { viewer, nodes, devices, nodeUrl } = options
  const none = nodes.length === 0
  return page({
    title: 'Nodes',
    path: '/nodes',
    viewer,
    script: 'nodes',
    body: html`<div class="page-head"><h1>Nodes</h1>${liveState}</div>

<section aria-labelledby="connected-title">
  <h2 id="connected-title">Connected now <span class="count" id="node-count">${nodes.length}</span></h2>
  <div class="panel">
    <table id="nodes"${none && html` hidden`}>
      <thead><tr><th scope="col">Node</th><th scope="col">Role</th><th scope="col">Address</th><th scope="col">Connected</th></tr></thead>
      <tbody>${nodes.map(nodeRow)}</tbody>
    </table>
    <div class="empty" id="nodes-empty"${!none && html` hidden`}>
      <p class="empty-title">No node is connected.</p>
      <p id="empty-first"${devices.items.length > 0 && html` hidden`}>Create a device below. You get a token and the exact command for the node to run.</p>
      <div id="empty-next"${devices.items.length === 0 && html` hidden`}>
        <p>Run this on the node, with the token you copied when you created its device:</p>
        <div class="copy-row"><code class="command" id="empty-command">${nodeCommand({ name: 'UPGATE_TOKEN', value: '<token>' }, { nodeUrl, viewer })}</code><button type="button" data-copy="empty-command">Copy</button></div>
        <p class="muted">Lost the token? Revoke its device and create a new one.</p>
      </div>
    </div>
  </div>
</section>

${pairingSection(options)}

<section aria-labelledby="devices-title">
  <h2 id="devices-title">Devices</h2>
  <p class="hint">A device is the identity of a node. Its token proves it in the first frame after connecting to <code>${nodeUrl}</code>; ${viewer.login.login === 'built-in' ? 'no HTTP header is needed' : `the HTTP headers of a service token get it through ${viewer.login.name}, and prove nothing here`}.</p>
  <form class="inline-form" id="device-form">
    <div class="field">
      <label for="device-name">Name of the new device</label>
      <input id="device-name" name="name" maxlength="64" required autocomplete="off" placeholder="kitchen-pi" aria-describedby="device-error">
    </div>
    <button class="primary" type="submit">Create device</button>
  </form>
  <p class="error" id="device-error" role="alert"></p>
  <div class="panel">
    <table id="devices"${devices.items.length === 0 && html` hidden`}>
      <thead><tr><th scope="col">Device</th><th scope="col">State</th><th scope="col">Created</th><th scope="col">Last login</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
      <tbody>${devices.items.map(deviceRow)}</tbody>
    </table>
    <div class="empty" id="devices-empty"${devices.items.length > 0 && html` hidden`}>
      <p class="empty-title">No device yet.</p>
      <p>Type a name above, such as the name of the machine, and create the first one.</p>
    </div>
  </div>
  ${partLinks(devices, 'devices')}
</section>

<template id="node-row">${nodeRow(blankNode)}</template>
<template id="device-row">${deviceRow(blankDevice)}</template>
${tokenDialog(html`<div class="field">
    <p class="label" id="run-label">Run the node</p>
    <div class="copy-row"><code class="command" id="run-command" data-template="${nodeCommand({ name: 'UPGATE_TOKEN', value: '{token}' }, { nodeUrl, viewer })}"></code><button type="button" data-copy="run-command" aria-describedby="run-label">Copy</button></div>
    <p class="hint">Any WebSocket client will do: it sends a <code>connect</code> request with the token as its first frame.</p>
  </div>`)}
${confirmDialog('Its connection closes at once, and the token never works again.')}`,
  })
}

const blankNode: ConnectedNode = {
  id: '',
  connection: '',
  name: '',
  role: '',
  address: '',
  addressHint: '',
  connectedAt: '',
}
const blankDevice: DeviceView = {
  id: '',
  name: '',
  role: '',
  connected: false,
  createdAt: '',
  lastUsedAt: '',
  key: null,
}

function nodeRow(node: ConnectedNode): Html {
  return html`<tr data-key="${node.connection}">
  <th scope="row"><span class="name" data-f="name">${node.name}</span><span class="sub mono" data-f="id">${node.id}</span></th>
  <td data-label="Role"><span class="tag" data-f="role">${node.role}</span></td>
  <td data-label="Address"><span><span class="mono" data-f="address">${node.address ?? 'unknown'}</span> <span class="sub" data-f="addressHint">${node.addressHint}</span></span></td>
  <td data-label="Connected" data-f="connectedAt">${time(node.connectedAt)}</td>
</tr>`
}

function deviceRow(device: DeviceView): Html {
  return html`<tr data-key="${device.id}">
  <th scope="row"><span class="name" data-f="name">${device.name}</span><span class="sub mono" data-f="id">${device.id}</span><span class="sub" data-f="key">${device.key === null ? 'no key' : `key ${device.key}`}</span></th>
  <td data-label="State"><span class="state" data-f="state" data-state="${device.connected ? 'on' : 'off'}"><span class="dot" aria-hidden="true"></span><span data-f="stateText">${device.connected ? 'Connected' : 'Offline'}</span></span></td>
  <td data-label="Created" data-f="createdAt">${time(device.createdAt)}</td>
  <td data-label="Last login" data-f="lastUsedAt">${time(device.lastUsedAt)}</td>
  <td class="actions"><button class="quiet danger" type="button" data-revoke="${device.id}" aria-label="Revoke ${device.name}">Revoke</button></td>
</tr>`
}
