/** What Node says of ML-DSA is kept from people who only want to know what was found. */

/** Node calls its ML-DSA experimental; what is verified with it does not change with that. */
export function hushMlDsa(): void {
  const emit = process.emitWarning.bind(process);
  process.emitWarning = ((warning: string | Error, ...rest: never[]) => {
    if (!String(warning).includes("ML-DSA-44 Web Crypto")) emit(warning, ...rest);
  }) as typeof process.emitWarning;
}
