/**
 * Redis for sessions, tickets, counts of failed attempts, and the bus. Needs the package `redis`.
 *
 * @example
 * import { composeStores, createServices } from 'upgate'
 * import { redisBus, redisSessions } from 'upgate/redis'
 *
 * const url = 'redis://127.0.0.1:6379'
 * const store = composeStores(base, { sessions: await redisSessions({ url }) })
 * const services = createServices({ store, bus: await redisBus({ url }) })
 *
 * @module
 */
export { type RedisBusOptions, redisBus } from './bus/redis.ts'
export type { RedisPartOptions } from './stores/redis/connection.ts'
export { type RedisFailuresOptions, redisFailures } from './stores/redis/failures.ts'
export { type RedisSessionsOptions, redisSessions } from './stores/redis/sessions.ts'
export { redisTickets } from './stores/redis/tickets.ts'
