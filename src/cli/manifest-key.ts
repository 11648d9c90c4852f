/**
 * The publisher's Ed25519 key pair: a PEM file that stays with the packager, and 43 characters that the site
 * pins in its snippet.
 * @module
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { NearcastError } from "../core/errors.js";

/** Creates the file, readable by its owner alone. @throws {NearcastError} `config/invalid` if it exists. */
export async function createKey(file: string): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  try {
    await writeFile(file, pem, { flag: "wx", mode: 0o600 });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    const rule = code === "EEXIST" ? "must not exist yet" : `must be writable (${code})`;
    throw unusable("--new-key", rule, file);
  }
  return privateKey;
}

/** @throws {NearcastError} `config/invalid` if the file is no Ed25519 private key in PEM. */
export async function readKey(file: string): Promise<KeyObject> {
  let key: KeyObject;
  try {
    key = createPrivateKey(await readFile(file, "utf8"));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? "no PEM private key";
    throw unusable("--key", `must be a readable private key (${why})`, file);
  }
  if (key.asymmetricKeyType === "ed25519") return key;
  throw unusable("--key", "must hold an Ed25519 key", file);
}

/** What `data-manifest-key` names: the raw public key, base64url. */
export function publicKeyOf(key: KeyObject): string {
  return createPublicKey(key).export({ format: "jwk" }).x ?? "";
}

function unusable(name: string, rule: string, value: string): NearcastError {
  return new NearcastError(
    "config/invalid",
    `Cannot sign manifest as ${name} ${rule}: current value is "${value}"`,
  );
}
