/** A TCP proxy that can fall silent: connections stay open and nothing comes through. */
import { once } from "node:events";
import { connect, createServer } from "node:net";

/** @returns `port`, `silence()` for all that is and will be connected, and `close()`. */
export async function openChaosProxy(targetPort) {
  const sockets = new Set();
  let silent = false;
  const server = createServer((client) => {
    const target = connect(targetPort, "localhost");
    for (const [from, to] of [
      [client, target],
      [target, client],
    ]) {
      sockets.add(from);
      from.on("data", (chunk) => silent || to.write(chunk));
      from.on("close", () => to.destroy());
      from.on("error", () => to.destroy());
    }
  });
  server.listen(0, "localhost");
  await once(server, "listening");
  return {
    port: server.address().port,
    silence: () => {
      silent = true;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
