/*
 * UPGATE_SOCKETS=eager: every WebSocket object is made at the 101, as where the quarantine may not answer by hand. All
 * tests of sockets hold then as well; vitest.config.ts loads this file.
 */
import { vi } from 'vitest'

vi.mock('../../src/ws/quarantine/answer-by-hand.ts', () => ({ answerByHand: () => undefined }))
