/** Takes every token of the agent off a request, and puts the gateway's own credential on. Never logs. */
import { Buffer } from "node:buffer";
import { isCarrier } from "#workers/wire/carriers.ts";

export type Credential = {
  readonly scheme: "basic" | "bearer" | "header";
  /** For basic `user:password`; without a colon it is the password of user `steno`. */
  readonly secret: string;
  /** For the scheme `header`: the field that holds the secret as it is, such as `x-api-key`. */
  readonly header?: string | undefined;
};

/**
 * The headers of an upstream request: without any token carrier, then with the credential, if there is one.
 * Throws when the secret cannot stand in a header; the error does not repeat it.
 */
export function attach(headers: Headers, credential: Credential | undefined): Headers {
  const outgoing = new Headers(headers);
  for (const name of [...outgoing.keys()]) if (isCarrier(name)) outgoing.delete(name);
  if (credential) outgoing.set(fieldOf(credential), shownAs(credential));
  return outgoing;
}

function fieldOf({ scheme, header }: Credential): string {
  if (scheme !== "header") return "authorization";
  if (header === undefined) throw new Error("a credential of scheme header names no header");
  return header;
}

function shownAs({ scheme, secret }: Credential): string {
  // Files end in a line end that is not part of the secret.
  const text = secret.replace(/\r?\n$/, "");
  if (text === "" || /\p{Cc}/u.test(text)) throw new Error("a credential is empty or has control characters");
  switch (scheme) {
    case "basic":
      return `Basic ${Buffer.from(text.includes(":") ? text : `steno:${text}`).toString("base64")}`;
    case "bearer":
      if (!/^[\x21-\x7e]+$/.test(text))
        throw new Error("a bearer credential has characters no header can hold");
      return `Bearer ${text}`;
    case "header":
      if (!/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text))
        throw new Error("a header credential has characters no header can hold");
      return text;
  }
}
