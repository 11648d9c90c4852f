/**
 * The server's Ed25519 key: it signs attestations, and the secrets behind peer ids and seals are derived from it.
 * @module
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  sign,
} from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { type Attestation, attestationBytes } from "../../protocol/attestation.js";
import { invalid } from "../option-checks.js";

/** Signs in the name of one key. */
export class Signer {
  /** First 16 characters of base64url(SHA-256(raw public key)). */
  readonly keyId: string;
  /** Raw public key, base64url. */
  readonly publicKey: string;
  readonly #key: KeyObject;

  constructor(key: KeyObject) {
    const raw = Buffer.from(createPublicKey(key).export({ format: "jwk" }).x ?? "", "base64url");
    this.#key = key;
    this.publicKey = raw.toString("base64url");
    this.keyId = createHash("sha256").update(raw).digest("base64url").slice(0, 16);
  }

  /** Completes an attestation with key id and signature. */
  attest(facts: Omit<Attestation, "keyId" | "signature">): Attestation {
    const unsigned = { ...facts, keyId: this.keyId };
    const signature = sign(null, attestationBytes(unsigned), this.#key).toString("base64url");
    return { ...unsigned, signature };
  }

  /** A 32-byte secret for `purpose`, the same as long as the key is the same. */
  deriveSecret(purpose: string): Buffer {
    const seed = this.#key.export({ format: "der", type: "pkcs8" });
    return Buffer.from(hkdfSync("sha256", seed, "", `nearcast ${purpose}`, 32));
  }
}

/**
 * Opens the key in `keyFile`, which is created (mode 0600) if it is missing; without a file the key lives
 * as long as the process.
 *
 * @throws {NearcastError} `config/invalid` if the file cannot be used.
 */
export async function openSigner(keyFile: string | undefined): Promise<Signer> {
  if (keyFile === undefined) return new Signer(generateKeyPairSync("ed25519").privateKey);
  try {
    const key = createPrivateKey(await readOrCreate(keyFile));
    if (key.asymmetricKeyType === "ed25519") return new Signer(key);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? "not a PEM private key";
    throw invalid("keyFile", `must be readable or creatable (${why})`, keyFile);
  }
  throw invalid("keyFile", "must hold an Ed25519 private key", keyFile);
}

async function readOrCreate(keyFile: string): Promise<string> {
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  try {
    await writeFile(keyFile, pem, { flag: "wx", mode: 0o600 });
    return pem;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return readFile(keyFile, "utf8");
  }
}
