import type { Kysely, Selectable } from 'kysely'
import type {
  InvitationRecord,
  PairingRecord,
  PairingState,
  PairingStore,
} from '../../core/ports/pairings.ts'
import { isUnderWay } from '../memory/memory-pairings.ts'
import { before, beyond, pageOf, positionAfter } from './pages.ts'
import { orNull, wide } from './rows.ts'
import type { Database, Tables } from './tables.ts'
import { insertToken, replaceToken } from './tokens.ts'

/** Requests, and invitations, that one call marks or forgets: others wait for its end. */
const mostAtOnce = 1000

export function sqlPairings(database: Database): PairingStore {
  const { read, transact, exclusively } = database
  const replace = async (db: Kysely<Tables>, record: PairingRecord): Promise<boolean> => {
    const { numUpdatedRows } = await db
      .updateTable('upgate_pairings')
      .set(rowOf(record))
      .where('id', '=', record.id)
      .where('version', '=', record.version - 1)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }
  return {
    request: (record, { now, atMost, perAddress, code }) =>
      transact(async (db) => {
        // One by one: each request must see the others, or their number would exceed the quota.
        await exclusively(db, 'pairings')
        const existing = await bySubject(db, record.subject)
        if (existing !== undefined && isUnderWay(existing, now)) {
          return { outcome: 'existing', record: existing }
        }
        if (code !== undefined && (await byDigest(db, code, now)) === undefined) {
          return { outcome: 'no_invitation' }
        }
        const pending = await db
          .selectFrom('upgate_pairings')
          .select(['quota', 'client_address'])
          .where('state', '=', 'pending')
          .where('expires_at', '>', now)
          .execute()
        const address = record.clientAddress
        const sameQuota = pending.filter(({ quota }) => quota === record.quota).length
        const sameAddress =
          address === undefined
            ? 0
            : pending.filter((row) => row.quota === record.quota && row.client_address === address).length
        if (sameQuota >= atMost || sameAddress >= perAddress) return { outcome: 'full' }
        if (code !== undefined) {
          await db.deleteFrom('upgate_invitations').where('digest', '=', code).execute()
        }
        if (existing !== undefined) {
          await db.deleteFrom('upgate_pairings').where('id', '=', existing.id).execute()
        }
        await db.insertInto('upgate_pairings').values(rowOf(record)).execute()
        return { outcome: 'added', record }
      }),
    get: (id) =>
      read(async (db) => {
        const query = db.selectFrom('upgate_pairings').selectAll().where('id', '=', id)
        const row = await query.executeTakeFirst()
        return row && recordOf(row)
      }),
    bySubject: (subject) => read((db) => bySubject(db, subject)),
    list: (state) =>
      read(async (db) => {
        const query = db.selectFrom('upgate_pairings').selectAll().where('state', '=', state).orderBy('seq')
        return (await query.execute()).map(recordOf)
      }),
    page: (state, request) =>
      read(async (db) => {
        const query = db.selectFrom('upgate_pairings').selectAll().where('state', '=', state)
        const rows = await query
          .where('seq', '>', positionAfter(request, before, beyond))
          .orderBy('seq')
          .limit(request.limit + 1)
          .execute()
        return pageOf(rows, request, recordOf)
      }),
    replace: (record) => transact((db) => replace(db, record)),
    collect: (record, device, keyId) =>
      transact(async (db) => {
        if (!(await replace(db, record))) return false
        await insertToken(db, 'upgate_devices', device)
        if (keyId !== undefined) {
          await exclusively(db, 'device keys')
          await giveKey(db, keyId, device.id)
        }
        return true
      }),
    async expire(now, forgetBefore) {
      const due = await read((db) => overdue(db, now, forgetBefore))
      // Called often, and rarely with work to do: a write each time would take a turn from other writers.
      if (!due) return []
      return transact(async (db) => {
        await exclusively(db, 'pairings')
        const rows = await db
          .selectFrom('upgate_pairings')
          .selectAll()
          .where('state', 'in', ['pending', 'approved'])
          .where('expires_at', '<=', now)
          .orderBy('seq')
          .limit(mostAtOnce)
          .execute()
        const expired: PairingRecord[] = []
        for (const record of rows.map(recordOf)) {
          const next: PairingRecord = { ...record, state: 'expired', version: record.version + 1 }
          if (await replace(db, next)) expired.push(next)
        }
        const old = db.selectFrom('upgate_pairings').select('id').where('expires_at', '<=', forgetBefore)
        const forgotten = db.deleteFrom('upgate_pairings').where('id', 'in', old.limit(mostAtOnce))
        // One that is overdue still has to be marked, and answered, before it is forgotten.
        await forgotten.where('state', 'not in', ['pending', 'approved']).execute()
        const ended = db.selectFrom('upgate_invitations').select('id').where('expires_at', '<=', now)
        await db.deleteFrom('upgate_invitations').where('id', 'in', ended.limit(mostAtOnce)).execute()
        return expired
      })
    },
    deviceOfKey: database.lookUp({
      columns: ['device_id'],
      query: (db, all, keyId) => db.selectFrom('upgate_device_keys').select(all).where('key_id', '=', keyId),
      recordOf: (row: Pick<Tables['upgate_device_keys'], 'device_id'>) => row.device_id,
    }),
    bindKey: (device, keyId, holder) =>
      transact(async (db) => {
        // One by one: of two devices that take a key that belongs to none, the second must see it taken.
        await exclusively(db, 'device keys')
        if ((await holderOf(db, keyId)) !== holder) return false
        if (!(await replaceToken(db, 'upgate_devices', device))) return false
        await giveKey(db, keyId, device.id)
        return true
      }),
    invite: (invitation) =>
      transact(async (db) => {
        const { numInsertedOrUpdatedRows } = await db
          .insertInto('upgate_invitations')
          .values({
            id: invitation.id,
            kind: invitation.kind,
            digest: invitation.digest,
            role: invitation.role,
            scopes: JSON.stringify(invitation.scopes),
            created_by: invitation.createdBy,
            created_at: invitation.createdAt,
            expires_at: invitation.expiresAt,
          })
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirst()
        return numInsertedOrUpdatedRows === 1n
      }),
    invitation: (digest, now) => read((db) => byDigest(db, digest, now)),
    invitations: (now) =>
      read(async (db) => {
        const query = db.selectFrom('upgate_invitations').selectAll().where('expires_at', '>', now)
        return (await query.orderBy('seq').execute()).map(invitationOf)
      }),
    uninvite: (id) =>
      transact(async (db) => {
        const query = db.deleteFrom('upgate_invitations').where('id', '=', id)
        return (await query.executeTakeFirst()).numDeletedRows === 1n
      }),
  }
}

async function holderOf(db: Kysely<Tables>, keyId: string): Promise<string | undefined> {
  const query = db.selectFrom('upgate_device_keys').select('device_id').where('key_id', '=', keyId)
  return (await query.executeTakeFirst())?.device_id
}

async function giveKey(db: Kysely<Tables>, keyId: string, deviceId: string): Promise<void> {
  await db
    .insertInto('upgate_device_keys')
    .values({ key_id: keyId, device_id: deviceId })
    .onConflict((conflict) => conflict.column('key_id').doUpdateSet({ device_id: deviceId }))
    .execute()
}

async function bySubject(db: Kysely<Tables>, subject: string): Promise<PairingRecord | undefined> {
  const query = db.selectFrom('upgate_pairings').selectAll().where('subject', '=', subject)
  const row = await query.executeTakeFirst()
  return row && recordOf(row)
}

async function byDigest(
  db: Kysely<Tables>,
  digest: string,
  now: number,
): Promise<InvitationRecord | undefined> {
  const row = await db
    .selectFrom('upgate_invitations')
    .selectAll()
    .where('digest', '=', digest)
    .where('expires_at', '>', now)
    .executeTakeFirst()
  return row && invitationOf(row)
}

async function overdue(db: Kysely<Tables>, now: number, forgetBefore: number): Promise<boolean> {
  const request = await db
    .selectFrom('upgate_pairings')
    .select('id')
    .where((where) =>
      where.or([
        where('expires_at', '<=', forgetBefore),
        where.and([where('state', 'in', ['pending', 'approved']), where('expires_at', '<=', now)]),
      ]),
    )
    .limit(1)
    .executeTakeFirst()
  if (request !== undefined) return true
  const invitation = await db
    .selectFrom('upgate_invitations')
    .select('id')
    .where('expires_at', '<=', now)
    .limit(1)
    .executeTakeFirst()
  return invitation !== undefined
}

type Row = Tables['upgate_pairings']
/** Fields that no query selects by; they are stored as one text. */
type Rest = Omit<
  PairingRecord,
  'id' | 'version' | 'subject' | 'state' | 'quota' | 'clientAddress' | 'expiresAt'
>

function rowOf(record: PairingRecord) {
  const { id, version, subject, state, quota, clientAddress, expiresAt, ...rest } = record
  return {
    id,
    version,
    subject,
    state,
    quota,
    client_address: orNull(clientAddress),
    expires_at: expiresAt,
    body: JSON.stringify(rest satisfies Rest),
  }
}

function recordOf(row: Selectable<Row>): PairingRecord {
  return {
    ...(JSON.parse(row.body) as Rest),
    id: row.id,
    version: row.version,
    subject: row.subject,
    state: row.state as PairingState,
    quota: row.quota as PairingRecord['quota'],
    clientAddress: row.client_address ?? undefined,
    expiresAt: wide(row.expires_at),
  }
}

function invitationOf(row: Selectable<Tables['upgate_invitations']>): InvitationRecord {
  return {
    id: row.id,
    kind: row.kind as InvitationRecord['kind'],
    digest: row.digest,
    role: row.role,
    scopes: JSON.parse(row.scopes) as string[],
    createdBy: row.created_by,
    createdAt: wide(row.created_at),
    expiresAt: wide(row.expires_at),
  }
}
