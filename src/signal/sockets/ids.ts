/**
 * Peer ids that the server can recognise as its own without remembering them: 128 random bits and a
 * truncated HMAC. Hexadecimal, because PeerJS accepts nothing richer from its caller.
 * @module
 */
import { createHmac, timingSafeEqual } from "node:crypto";

const RANDOM_BYTES = 16;
const MAC_BYTES = 8;
const ID_PATTERN = new RegExp(`^[0-9a-f]{${2 * (RANDOM_BYTES + MAC_BYTES)}}$`);

/** Issues and recognises peer ids. */
export class PeerIds {
  readonly #key: Buffer;
  readonly #randomBytes: (count: number) => Buffer;

  /** @param key Secret; ids stay valid as long as it stays the same. */
  constructor(key: Buffer, randomBytes: (count: number) => Buffer) {
    this.#key = key;
    this.#randomBytes = randomBytes;
  }

  issue(): string {
    const random = this.#randomBytes(RANDOM_BYTES);
    return Buffer.concat([random, this.#mac(random)]).toString("hex");
  }

  /** Whether this key issued the id; `false` for anything malformed. */
  recognises(id: string): boolean {
    if (!ID_PATTERN.test(id)) return false;
    const bytes = Buffer.from(id, "hex");
    return timingSafeEqual(
      bytes.subarray(RANDOM_BYTES),
      this.#mac(bytes.subarray(0, RANDOM_BYTES)),
    );
  }

  #mac(random: Buffer): Buffer {
    return createHmac("sha256", this.#key).update(random).digest().subarray(0, MAC_BYTES);
  }
}
