/** What an origin may do wrong: each function gives the `rig`, `inject` and `end` of a row of the matrix. */

/** From the injection on, `answer(req, res, stage)` sees each request for a file first, as `intercept` of the rig. */
export function faulty(answer) {
  let stage;
  return {
    rig: { intercept: (req, res) => stage !== undefined && answer(req, res, stage) === true },
    inject: (now) => {
      stage = now;
    },
    end: () => {
      stage = undefined;
    },
  };
}

export function status(code) {
  return faulty((_, res) => {
    res.writeHead(code, { "cache-control": "no-store" }).end("broken");
    return true;
  });
}

/** After so many bytes of the body `end(res)` ends it, whatever was announced. */
function cutAfter(bytes, res, end) {
  const { write } = res;
  let sent = 0;
  res.write = function (chunk, done) {
    const rest = chunk.subarray(0, Math.max(0, bytes - sent));
    sent += chunk.length;
    if (sent < bytes) return write.call(this, chunk, done);
    res.write = () => true;
    return write.call(this, rest, () => end(res));
  };
}

/** Where a body breaks off. */
export const HALF = 500_000;
export const closed = () => faulty((_, res) => cutAfter(HALF, res, () => res.socket?.end()));
export const reset = () =>
  faulty((_, res) => cutAfter(HALF, res, () => res.socket?.resetAndDestroy()));
/** Chunked, so that nothing tells that the body is short. */
export const short = () =>
  faulty((_, res) => {
    const { setHeader } = res;
    res.setHeader = function (name, value) {
      return name.toLowerCase() === "content-length" ? this : setHeader.call(this, name, value);
    };
    cutAfter(HALF, res, () => res.end());
  });

export const noRanges = () =>
  faulty((req, res) => {
    delete req.headers.range;
    res.setHeader("accept-ranges", "none");
  });

/** What is answered to ranges is right and said to lie elsewhere. */
export const wrongPlace = () =>
  faulty((_, res) => {
    const { setHeader } = res;
    res.setHeader = function (name, value) {
      const range = name.toLowerCase() === "content-range";
      return setHeader.call(this, name, range ? "bytes 5-100/999" : value);
    };
  });

export const noPart = () =>
  faulty((req, res) => {
    if (!req.headers.range) return false;
    res.writeHead(416, { "content-range": "bytes */10", "cache-control": "no-store" }).end();
    return true;
  });

/** Each answer of an edge of its own, which has its own name for the same version. */
export const manyEdges = () => {
  let edge = 0;
  return faulty((_, res) => {
    const { setHeader } = res;
    const etag = `"edge-${edge++}"`;
    res.setHeader = function (name, value) {
      return setHeader.call(this, name, name.toLowerCase() === "etag" ? etag : value);
    };
  });
};

export const hang = () => faulty(() => true);
