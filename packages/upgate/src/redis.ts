export { type RedisBusOptions, redisBus } from './bus/redis.ts'
export { type RedisSessionsOptions, redisSessions } from './stores/redis/sessions.ts'
