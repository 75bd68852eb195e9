import type { Express, Request } from 'express'
import type { Device } from 'upgate'
import { type Context, callerOf, labelOf } from '../context.ts'
import { nameOf, objectOf } from '../http/body.ts'
import { type Part, partOf, shown } from '../http/part.ts'
import { ProblemError } from '../http/problem.ts'

/** A device as the API and the pages show it. */
export interface DeviceView {
  readonly id: string
  readonly name: string
  readonly role: string
  readonly connected: boolean
  /** ISO 8601. */
  readonly createdAt: string
  /** ISO 8601, to about a minute. */
  readonly lastUsedAt: string | null
  /** The first 16 digits of the SHA-256 of its public key; `null` where it has its token alone. */
  readonly key: string | null
}

/** Devices that are not revoked, in order of creation. */
export async function listDevices(context: Context, request: Request): Promise<Part<DeviceView>> {
  const part = partOf(request)
  const page = await context.services.devices.page(part)
  const connected = new Map(context.nodes.list().map((node) => [node.id, node.connectedAt]))
  return shown(page, part, (device) => viewOf(device, connected.get(device.id)))
}

/** Creating, listing and revoking devices. */
export function addDeviceRoutes(app: Express, context: Context): void {
  const { services, audit, live } = context

  app.post('/api/devices', async (request, response) => {
    const name = nameOf(objectOf(request))
    const creator = callerOf(context, request)
    // The gateway sets role and scopes; other fields of the body are ignored.
    const { id, token } = await services.devices.create({ name, role: 'node', createdBy: creator.id })
    audit.record({ event: 'device_created', device: id, name, by: labelOf(creator) })
    live.changed('devices')
    response.status(201).json({ id, token, name })
  })

  app.get('/api/devices', async (request, response) => {
    const { items, next } = await listDevices(context, request)
    response.json({ devices: items, next })
  })

  app.delete('/api/devices/:id', async (request, response) => {
    const device = await services.devices.revoke(request.params.id)
    if (device === undefined) throw unknownDevice
    audit.record({
      event: 'device_revoked',
      device: device.id,
      name: device.name,
      by: labelOf(callerOf(context, request)),
    })
    live.changed('devices')
    response.sendStatus(204)
  })
}

const unknownDevice = new ProblemError({
  status: 404,
  code: 'not_found',
  detail: 'There is no device with this id.',
  action: 'List the devices and use one of their ids.',
})

function viewOf(device: Device, connectedAt: string | undefined): DeviceView {
  const recorded = device.lastUsedAt === undefined ? null : new Date(device.lastUsedAt).toISOString()
  return {
    id: device.id,
    name: device.name,
    role: device.role,
    connected: connectedAt !== undefined,
    createdAt: new Date(device.createdAt).toISOString(),
    // The record is written shortly after the node is accepted.
    lastUsedAt: connectedAt ?? recorded,
    key: device.keyId?.slice(0, 16) ?? null,
  }
}
