import ts from 'typescript-5'

/** A program of the documentation as Node 20 runs it: without its types, otherwise as printed. */
export function stripTypes(source: string): string {
  const compilerOptions = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2022,
    verbatimModuleSyntax: true,
  }
  return ts.transpileModule(source, { compilerOptions }).outputText
}
