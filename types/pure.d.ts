// The few globals that the pure folders (core, protocol, engine) may use: all of them exist in pages,
// workers and Node. Anything else (window, fetch, Date.now, setTimeout) does not compile there.
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
}
interface CipherKey {
  readonly extractable: boolean;
}
interface SubtleCrypto {
  digest(algorithm: "SHA-256", data: ArrayBufferView | ArrayBuffer): Promise<ArrayBuffer>;
  importKey(
    format: "raw",
    key: Uint8Array<ArrayBuffer>,
    algorithm: "AES-CTR",
    extractable: boolean,
    usages: "encrypt"[],
  ): Promise<CipherKey>;
  encrypt(
    algorithm: { name: "AES-CTR"; counter: Uint8Array<ArrayBuffer>; length: number },
    key: CipherKey,
    data: Uint8Array<ArrayBuffer>,
  ): Promise<ArrayBuffer>;
}
declare const crypto: { readonly subtle: SubtleCrypto };
declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean });
  decode(bytes: Uint8Array): string;
}
declare class URL {
  static canParse(url: string, base?: string): boolean;
  constructor(url: string, base?: string);
  readonly href: string;
  readonly origin: string;
  readonly protocol: string;
  readonly host: string;
  readonly hostname: string;
  hash: string;
  pathname: string;
  search: string;
}
declare class URLSearchParams {
  constructor(query: string);
  has(name: string): boolean;
}
declare function btoa(binary: string): string;
declare function atob(base64: string): string;
