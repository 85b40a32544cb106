/** Which run of the recorder this is. Randomness is not to be had while a module loads, so it is drawn at first use. */
let drawn = "";

export function epoch(): string {
  if (drawn === "") drawn = crypto.randomUUID();
  return drawn;
}
