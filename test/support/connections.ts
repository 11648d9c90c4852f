/**
 * Two ends of one connection between viewers: a fake one in memory, and two real `RTCPeerConnection`s in
 * one page. The contract of test/unit/mesh/peer-link.test.ts runs on both, so the fake cannot drift.
 * @module
 */
import type { Connection } from "../../src/mesh/signaling/peerjs-peer.js";
import { BULK_BUFFERED_MAX_BYTES } from "../../src/protocol/limits.js";

export interface ConnectionPair {
  readonly a: Connection;
  readonly b: Connection;
  /** Lets both channels open; until then nothing arrives. */
  open(): Promise<void>;
  close(): void;
}

/** One end of a data channel in memory: ordered, reliable, asynchronous. */
export class FakeChannel extends EventTarget {
  readyState: RTCDataChannelState = "connecting";
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  binaryType = "arraybuffer";
  other: FakeChannel | undefined;
  readonly sent: (string | ArrayBuffer)[] = [];

  send(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.readyState !== "open") throw new DOMException("not open", "InvalidStateError");
    const copy = typeof data === "string" ? data : data.slice().buffer;
    this.sent.push(copy);
    queueMicrotask(() => {
      if (this.other?.readyState !== "open") return;
      this.other.dispatchEvent(new MessageEvent("message", { data: copy }));
    });
  }

  open(): void {
    this.readyState = "open";
    this.dispatchEvent(new Event("open"));
  }

  close(): void {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    queueMicrotask(() => {
      this.dispatchEvent(new Event("close"));
      this.other?.close();
    });
  }

  drain(): void {
    this.bufferedAmount = 0;
    this.dispatchEvent(new Event("bufferedamountlow"));
  }
}

class FakePeerConnection extends EventTarget {
  connectionState: RTCPeerConnectionState = "connecting";

  become(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }
}

/** The fake behind one end, for tests that pull its strings. */
export interface FakeEnd {
  readonly control: FakeChannel;
  readonly bulk: FakeChannel;
  readonly peerConnection: FakePeerConnection;
  readonly connection: Connection;
  readonly closed: () => boolean;
}

export function fakeEnd(peerId: string, initiator = true): FakeEnd {
  const control = new FakeChannel();
  const bulk = new FakeChannel();
  const peerConnection = new FakePeerConnection();
  let closed = false;
  const connection = {
    ...{ peerId, initiator, control, bulk, peerConnection },
    close() {
      closed = true;
      control.close();
      bulk.close();
    },
  } as unknown as Connection;
  return { control, bulk, peerConnection, connection, closed: () => closed };
}

export async function fakePair(): Promise<ConnectionPair> {
  const [a, b] = [fakeEnd("peer-bbbb", true), fakeEnd("peer-aaaa", false)];
  const channels = [a.control, a.bulk, b.control, b.bulk];
  for (const [from, to] of [
    [a.control, b.control],
    [a.bulk, b.bulk],
  ] as const) {
    from.other = to;
    to.other = from;
  }
  return {
    a: a.connection,
    b: b.connection,
    async open() {
      // As the standard has it: state and event of one channel in one task. What the other end sends
      // before this end is open must not be lost, so all microtasks of a step come after the last one.
      for (const channel of channels) channel.open();
    },
    close() {
      a.connection.close();
    },
  };
}

export async function realPair(): Promise<ConnectionPair> {
  const [one, two] = [new RTCPeerConnection(), new RTCPeerConnection()];
  const end = (peerConnection: RTCPeerConnection, peerId: string, initiator: boolean) => {
    const channel = (label: string, id: number) => {
      const made = peerConnection.createDataChannel(label, { negotiated: true, id });
      made.binaryType = "arraybuffer";
      return made;
    };
    const bulk = channel("bulk", 101);
    bulk.bufferedAmountLowThreshold = BULK_BUFFERED_MAX_BYTES / 4;
    const control = channel("control", 100);
    const close = () => peerConnection.close();
    return { peerId, initiator, control, bulk, peerConnection, close } satisfies Connection;
  };
  const a = end(one, "peer-bbbb", true);
  const b = end(two, "peer-aaaa", false);
  one.onicecandidate = ({ candidate }) => void two.addIceCandidate(candidate ?? undefined);
  two.onicecandidate = ({ candidate }) => void one.addIceCandidate(candidate ?? undefined);
  return {
    ...{ a, b },
    async open() {
      const channels = [a.control, a.bulk, b.control, b.bulk];
      const opened = channels.map(
        (channel) =>
          new Promise((resolve) => channel.addEventListener("open", resolve, { once: true })),
      );
      await one.setLocalDescription();
      await two.setRemoteDescription(one.localDescription as RTCSessionDescription);
      await two.setLocalDescription();
      await one.setRemoteDescription(two.localDescription as RTCSessionDescription);
      await Promise.all(opened);
    },
    close() {
      one.close();
      two.close();
    },
  };
}
