/**
 * A plain RTCDataChannel between two pages, signalled by hand: what the browsers themselves can carry. Ordered, up to
 * 1 MiB buffered by the sender, no check of any kind.
 */

/** Connects `sender` to `receiver`, which may have several senders. */
export async function connectRaw(sender, receiver) {
  const offer = await sender.evaluate(async () => {
    const peer = new RTCPeerConnection();
    window.rawPeer = peer;
    const channel = peer.createDataChannel("raw");
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = 2 ** 19;
    channel.onmessage = async ({ data }) => {
      const { bytes, messageBytes } = JSON.parse(data);
      const message = new Uint8Array(messageBytes);
      for (let sent = 0; sent < bytes; sent += messageBytes) {
        if (channel.bufferedAmount > 2 ** 20 - messageBytes) {
          await new Promise((resolve) => {
            channel.onbufferedamountlow = resolve;
          });
        }
        channel.send(message);
      }
    };
    await peer.setLocalDescription();
    await new Promise((resolve) => {
      peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && resolve();
    });
    return peer.localDescription.sdp;
  });
  const answer = await receiver.evaluate(async (sdp) => {
    const peer = new RTCPeerConnection();
    window.rawPeers ??= [];
    window.rawChannels ??= [];
    window.rawPeers.push(peer);
    peer.ondatachannel = ({ channel }) => {
      channel.binaryType = "arraybuffer";
      window.rawChannels.push(channel);
    };
    await peer.setRemoteDescription({ type: "offer", sdp });
    await peer.setLocalDescription();
    if (peer.iceGatheringState !== "complete") {
      await new Promise((resolve) => {
        peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && resolve();
      });
    }
    return peer.localDescription.sdp;
  }, offer);
  const channels = await receiver.evaluate(() => window.rawPeers.length);
  await sender.evaluate(
    (sdp) => window.rawPeer.setRemoteDescription({ type: "answer", sdp }),
    answer,
  );
  await receiver.waitForFunction(
    (count) =>
      window.rawChannels?.filter(({ readyState }) => readyState === "open").length >= count,
    {},
    channels,
  );
}

/** Asks every sender for an equal part. @returns Milliseconds from asking to the last byte. */
export function rawTransfer(receiver, { bytes, messageBytes }) {
  return receiver.evaluate(
    async (total, size) => {
      const channels = window.rawChannels;
      const part = total / channels.length;
      const startMs = performance.now();
      await Promise.all(
        channels.map(
          (channel) =>
            new Promise((resolve) => {
              let got = 0;
              channel.onmessage = ({ data }) => {
                got += data.byteLength;
                if (got >= part) resolve();
              };
              channel.send(JSON.stringify({ bytes: part, messageBytes: size }));
            }),
        ),
      );
      return performance.now() - startMs;
    },
    bytes,
    messageBytes,
  );
}
