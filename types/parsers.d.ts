// The parsers of Video.js bring no types; src/mesh/playback/playlist-reader.ts says what of their results it uses.
declare module "m3u8-parser" {
  export class Parser {
    readonly manifest: object;
    push(text: string): void;
    end(): void;
  }
}
declare module "mpd-parser" {
  export function parse(text: string, options: { manifestUri: string }): object;
}
