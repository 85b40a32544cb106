/** The file is none, is not for these identities, or is not as it was sealed. */
export class AgeUnreadable extends Error {
  override readonly name = "AgeUnreadable";
}
