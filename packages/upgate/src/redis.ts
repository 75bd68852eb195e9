export { type RedisBusOptions, redisBus } from './bus/redis.ts'
