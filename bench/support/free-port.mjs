/** A TCP port that nobody listens on: the site must know its own address before it starts. */
import { createServer } from "node:net";

export async function freePort(host = "127.0.0.1") {
  const probe = createServer();
  await new Promise((done, failed) => probe.once("error", failed).listen(0, host, done));
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}
