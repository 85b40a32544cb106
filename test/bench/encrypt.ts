// What encrypting a segment costs: age over the runtime's own cipher, beside the library's and beside hashing, in Node.
import { randomBytes } from "node:crypto";
import { Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { openFile } from "#durable/proof/age/open.ts";
import { sealFile } from "#durable/proof/age/stream.ts";
import { sha256 } from "#durable/proof/bytes.ts";
import { makeEnvelope } from "#durable/store/keys/envelope.ts";
import { median, type Row } from "./measure.ts";

export async function measureEncrypt(megabytes: number, rounds: number): Promise<Row[]> {
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  const plain = new Uint8Array(randomBytes(megabytes * 1_000_000));
  const random = (length: number) => new Uint8Array(randomBytes(length));
  const ours = async () => sealFile(await makeEnvelope(recipient, random), [plain], plain.byteLength);
  const sealed = await ours();
  const library = async () => {
    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    return encrypter.encrypt(plain);
  };
  const ways: readonly (readonly [string, () => Promise<unknown>])[] = [
    ["SHA-256, which every segment pays", async () => sha256(plain)],
    ["encrypt", ours],
    ["decrypt", () => openFile(sealed, [identity])],
    ["encrypt, by the library alone", library],
  ];
  const rows: Row[] = [];
  for (const [way, work] of ways) {
    const seconds: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const begun = performance.now();
      await work();
      seconds.push((performance.now() - begun) / 1000);
    }
    const added = way === "encrypt" ? sealed.byteLength - plain.byteLength : 0;
    rows.push({ way, "MB/s": megabytes / median(seconds), "bytes added": added });
  }
  return rows;
}
