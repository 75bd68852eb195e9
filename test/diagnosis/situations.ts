import type { Situation } from './situation.ts'
import { answers } from './situations/answers.ts'
import { beforeHttp } from './situations/before-http.ts'
import { edge } from './situations/edge.ts'
import { gate } from './situations/gate.ts'
import { tls } from './situations/tls.ts'
import { websocket } from './situations/websocket.ts'

/** Every situation, in the order of their numbers. */
export const situations: readonly Situation[] = [
  ...beforeHttp,
  ...tls,
  ...answers,
  ...edge,
  ...websocket,
  ...gate,
].toSorted((one, other) => one.number - other.number)
