/**
 * Takes the place of peerjs-js-binarypack in the page script. Connections are raw and nothing else; five bytes of this
 * format can block a page for seconds (SECURITY.md), so its code is not even there.
 */
const refuse = () => {
  throw new Error("Cannot use BinaryPack: Nearcast's connections are raw");
};

export const pack = refuse;
export const unpack = refuse;
