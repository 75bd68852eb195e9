/**
 * Redis for sessions, tickets, counts of failed attempts, and as the bus, by `redis`.
 *
 * @module
 */
export { type RedisBusOptions, redisBus } from './bus/redis.ts'
export type { RedisPartOptions } from './stores/redis/connection.ts'
export { type RedisFailuresOptions, redisFailures } from './stores/redis/failures.ts'
export { type RedisSessionsOptions, redisSessions } from './stores/redis/sessions.ts'
export { redisTickets } from './stores/redis/tickets.ts'
