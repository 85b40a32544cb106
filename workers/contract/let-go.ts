/** What a call into another isolate or object keeps until it is disposed of. */

/**
 * The answer to a call holds the call itself, and the callee's context with it, some 8 KB a call that the garbage collector does not see:
 * until it is disposed of, or the request of the caller ends, which may stream for hours. The values in it stay good.
 */
export function letGo(answer: object): void {
  // Only what came from another isolate or object has it, and no type says so.
  (answer as Partial<Disposable>)[Symbol.dispose]?.();
}
