import { expect } from "chai";
import { filterDescription, mayDial } from "../../../src/mesh/signaling/ice-filter.js";

const candidate = (address: string, type = "host") =>
  `candidate:1 1 udp 2113937151 ${address} 50000 typ ${type} generation 0`;

const MDNS = "01234567-89ab-cdef-0123-456789abcdef.local";

const PUBLIC = [
  ...["8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "192.167.0.1"],
  ...["192.0.1.1", "11.0.0.1", "223.1.1.1", "2001:db8::1", "2a00:1450:4001:80b::200e"],
  MDNS,
  MDNS.toUpperCase(),
];

const PRIVATE = [
  ...["10.0.0.1", "127.0.0.1", "127.255.0.1", "0.0.0.0", "169.254.1.1", "172.16.0.1"],
  ...["172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.0.1", "192.0.0.1", "224.0.0.1"],
  ...["239.255.255.250", "255.255.255.255", "240.0.0.1"],
  ...["::", "::1", "fe80::1", "FE80::1", "fc00::1", "fd12:3456::1", "ff02::1"],
  ...["::ffff:10.0.0.1", "::FFFF:192.168.0.1", "64:ff9b::a00:1", "2002:c0a8:101::1"],
  // Other spellings of the same addresses.
  ...["0:0:0:0:0:0:0:1", "0::1", "::0001", "::0:1", "0:0:0:0:0:ffff:c0a8:1", "::127.0.0.1"],
  ...["0:0::ffff:10.0.0.1", "0064:ff9b::a00:1", "010.0.0.1", "0x7f.0.0.1", "127.1", "2130706433"],
];

const NAMES = [
  ...[
    "localhost",
    "router.local",
    "printer.lan",
    "example.com",
    "evil.com:80",
    "[::1]",
    "fe80::1%1",
  ],
  ...[
    "01234567-89ab-cdef-0123-456789abcdef.local.evil.com",
    "999.1.1.1",
    "8.8.8.8.",
    "1.2.3",
    "-",
    ":",
    "::::",
  ],
];

describe("ice-filter", () => {
  it("mayDial() lets public addresses and the browser's own mDNS names pass", () => {
    for (const address of PUBLIC) {
      expect(mayDial(candidate(address), { lan: false }), address).to.equal(true);
    }
  });

  it("mayDial() refuses addresses of the viewer's own network, however they are spelled", () => {
    for (const address of PRIVATE) {
      expect(mayDial(candidate(address), { lan: false }), address).to.equal(false);
    }
  });

  it("mayDial() refuses names and what is no address", () => {
    for (const address of NAMES) {
      expect(mayDial(candidate(address), { lan: false }), address).to.equal(false);
    }
    for (const text of ["candidate:", "candidate:1 1 udp 1", "nonsense", " "]) {
      expect(mayDial(text, { lan: false }), text).to.equal(false);
    }
  });

  it("mayDial() believes no type: the address is what is dialled", () => {
    for (const type of ["host", "srflx", "prflx", "relay"]) {
      expect(mayDial(candidate("8.8.8.8", type), { lan: false }), type).to.equal(true);
      expect(mayDial(candidate("192.168.1.1", type), { lan: false }), type).to.equal(false);
    }
  });

  it("mayDial() allows every address with the option lan", () => {
    for (const address of [...PUBLIC, "10.0.0.1", "::1", "fe80::1"]) {
      expect(mayDial(candidate(address), { lan: true }), address).to.equal(true);
    }
    expect(mayDial("candidate:1 1 udp 1", { lan: true })).to.equal(false);
  });

  it("mayDial() passes the empty line that ends the candidates", () => {
    expect(mayDial("", { lan: false })).to.equal(true);
  });

  it("filterDescription() removes what may not be dialled and keeps the rest", () => {
    const lines = (addresses: readonly string[]) => [
      "v=0",
      "c=IN IP4 0.0.0.0",
      ...addresses.map((address) => `a=${candidate(address)}`),
      "a=ice-ufrag:abcd",
      "",
    ];
    const all = ["8.8.8.8", "192.168.1.1", MDNS, "::1"];
    const kept = lines(["8.8.8.8", MDNS]).join("\r\n");
    expect(filterDescription(lines(all).join("\r\n"), { lan: false })).to.equal(kept);
    expect(filterDescription(lines(all).join("\r\n"), { lan: true })).to.equal(
      lines(all).join("\r\n"),
    );
  });

  it("filterDescription() is not fooled by other line ends, which browsers accept", () => {
    const sdp = ["v=0", `a=${candidate("192.168.1.1")}`, "a=x", ""].join("\n");
    expect(filterDescription(sdp, { lan: false })).to.not.include("192.168.1.1");
    const mixed = `v=0\r\na=x\na=${candidate("10.0.0.1")}\r\n`;
    expect(filterDescription(mixed, { lan: false })).to.not.include("10.0.0.1");
  });
});
