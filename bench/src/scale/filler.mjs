import { answerQuestions } from '../answer.mjs'
import { fillSqlite } from './fill.mjs'

// A process of its own: a million rows in one statement would keep an interrupt waiting.
answerQuestions(({ file, size, known }) => fillSqlite(file, size, known))
