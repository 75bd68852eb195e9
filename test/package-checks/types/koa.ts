// Compiled with the blocks of the documentation, against the built package and Koa's own types.
import Koa from 'koa'
import { createGate, type Principal, type Scheme } from 'upgate'
import { koaGate } from 'upgate/koa'

interface Person extends Principal {
  readonly attributes: { readonly email: string }
}
declare const scheme: Scheme<Person>
const gate = createGate({ schemes: [scheme] })

// Put together in one expression, or told of it beforehand, an application knows the principal of its gate.
new Koa().use(koaGate(gate)).use((ctx) => {
  const email: string | undefined = ctx.state.principal?.attributes.email
  const same: typeof ctx.state.principal = gate.principalOf(ctx.req)
  // @ts-expect-error a principal is no Date
  const date: Date | undefined = ctx.state.principal
  // @ts-expect-error a rule may let in requests without one
  ctx.body = [email, same, date, ctx.state.principal.id]
})
const told = new Koa<{ principal?: Person; locale: string }>()
told.use(koaGate(gate))
told.use((ctx) => {
  // @ts-expect-error a principal is no Date
  const date: Date | undefined = ctx.state.principal
  ctx.body = [date, ctx.state.locale]
})
// One that says nothing goes on as before.
const plain = new Koa()
plain.use(koaGate(gate))
plain.use((ctx) => {
  ctx.body = ctx.state.principal
})
