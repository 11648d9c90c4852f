/**
 * An evil peer: a real browser page with the real SDK, whose data channels lie. It is linked, announces and is
 * asked as any other; what leaves it is bent by a script.
 * @module
 */

/**
 * Runs in the evil page before any script of it; self-contained, as it is sent there.
 *
 * @param script What it does, each a chance from 0 to 1 for each piece unless said:
 *   `corrupt` turns one bit of the piece; `stallAt` sends that share of every piece and no more; `refuse` answers ABSENT
 *   for what it announced; `misplace` sends a block at a wrong offset; `garble` sends a frame that is none; `lie` tells
 *   of pieces that it has not; `replay` sends for each piece what it sent for its very first one; `flood` sends so many blocks nobody asked for after each piece; `bytesPerS` slows all;
 *   `seed` makes the chances repeatable.
 */
export function misbehave(script) {
  const BLOCK = 9;
  const REJECT = 6;
  const HAVE = 2;
  const PIECE_BYTES = 65_536;
  const { send } = RTCDataChannel.prototype;
  let state = (script.seed ?? 1) >>> 0 || 1;
  const chance = (share = 0) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32 < share;
  };
  /** Fate of each request, decided once: by channel and request id. */
  const fates = new WeakMap();
  const fateOf = (channel, id) => {
    const known = fates.get(channel) ?? new Map();
    fates.set(channel, known);
    if (!known.has(id)) {
      known.set(id, {
        corrupt: chance(script.corrupt),
        refuse: chance(script.refuse),
        misplace: chance(script.misplace),
        garble: chance(script.garble),
        told: false,
      });
    }
    return known.get(id);
  };
  /** Frames bent so far: a test that none was bent has tested nothing. */
  window.bent = 0;
  const bend = () => {
    window.bent++;
  };
  let freeMs = 0;
  const slowly = (channel, bytes) => {
    bend();
    const nowMs = performance.now();
    freeMs = Math.max(nowMs, freeMs) + (bytes.byteLength * 1_000) / script.bytesPerS;
    setTimeout(() => channel.readyState === "open" && send.call(channel, bytes), freeMs - nowMs);
  };
  /** The control channel beside each bulk channel, by their connection. */
  const controls = new WeakMap();
  const connections = new WeakMap();
  const { createDataChannel } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.createDataChannel = function (...args) {
    const channel = createDataChannel.apply(this, args);
    connections.set(channel, this);
    if (channel.label === "control") controls.set(this, channel);
    return channel;
  };
  const reject = (bulk, id) => {
    const control = controls.get(connections.get(bulk));
    const frame = new DataView(new ArrayBuffer(8));
    frame.setUint8(0, REJECT);
    frame.setUint32(1, id);
    frame.setUint8(5, 1); // absent
    if (control?.readyState === "open") send.call(control, frame.buffer);
  };
  const refuse = (channel, id, fate) => {
    bend();
    if (!fate.told) reject(channel, id);
    fate.told = true;
  };
  const flood = (channel, bytes) => {
    for (let i = 0; i < (script.flood ?? 0); i++) {
      bend();
      const rubbish = bytes.slice();
      new DataView(rubbish.buffer).setUint32(1, 0xdead_0000 + i);
      if (channel.readyState === "open") send.call(channel, rubbish);
    }
  };
  /** By offset within the piece: what was sent first. */
  const first = new Map();
  const replay = (bytes, id) => {
    const offset = new DataView(bytes.buffer).getUint32(5);
    const old = first.get(offset);
    if (!old) first.set(offset, { id, data: bytes.slice(BLOCK) });
    if (!old || old.id === id || old.data.byteLength !== bytes.byteLength - BLOCK) return;
    bytes.set(old.data, BLOCK);
    bend();
  };
  const spoil = (bytes, { corrupt, misplace, garble }) => {
    const view = new DataView(bytes.buffer);
    const offset = view.getUint32(5);
    if (corrupt && offset === 0) bytes[bytes.byteLength - 1] ^= 1;
    if (misplace) view.setUint32(5, offset + 1);
    if (garble) bytes[0] = 0xee;
    if (corrupt || misplace || garble) bend();
  };
  const sendBlock = (channel, bytes) => {
    const view = new DataView(bytes.buffer);
    const [id, offset] = [view.getUint32(1), view.getUint32(5)];
    const fate = fateOf(channel, id);
    if (fate.refuse) return refuse(channel, id, fate);
    if (offset + bytes.byteLength - BLOCK >= PIECE_BYTES * (script.stallAt ?? 2)) return bend();
    if (script.replay) replay(bytes, id);
    spoil(bytes, fate);
    if (script.bytesPerS) slowly(channel, bytes);
    else send.call(channel, bytes);
    flood(channel, bytes);
  };
  RTCDataChannel.prototype.send = function (data) {
    const bytes = new Uint8Array(data).slice();
    if (this.label === "bulk" && bytes[0] === BLOCK) return sendBlock(this, bytes);
    if (bytes[0] === HAVE && chance(script.lie)) {
      bend();
      bytes.fill(0xff, 25);
    }
    return send.call(this, bytes);
  };
}
