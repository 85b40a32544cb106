/** Work that is begun before its turn comes, and taken in turn. */

/** `work` of each item, in order; of at most `width` items at once, the one whose turn it is among them. */
export async function* ahead<T, R>(
  width: number,
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const begun: Promise<R>[] = [];
  for await (const item of items) {
    const promise = work(item);
    // Thrown when its turn comes; until then nobody has missed it.
    promise.catch(() => undefined);
    begun.push(promise);
    if (begun.length >= width) yield await (begun.shift() as Promise<R>);
  }
  for (const promise of begun) yield await promise;
}
