/** Collects the steps of one decision for `explain`. Nothing secret goes in. */
export class Trace {
  readonly steps: { readonly step: string; readonly detail: string }[] = []

  add(step: string, detail: string): void {
    this.steps.push({ step, detail })
  }
}
