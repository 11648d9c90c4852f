// One function and a list of outputs: page (ESM, classic script), worker (classic, ESM), Node (server, CLI).
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import commonjs from "@rollup/plugin-commonjs";
import nodeResolve from "@rollup/plugin-node-resolve";
import replace from "@rollup/plugin-replace";
import terser from "@rollup/plugin-terser";
import dts from "rollup-plugin-dts";
import esbuild from "rollup-plugin-esbuild";

const { version, dependencies, optionalDependencies } = JSON.parse(
  readFileSync("package.json", "utf8"),
);
const packages = Object.keys({ ...dependencies, ...optionalDependencies });
const external = (id) =>
  id.startsWith("node:") || packages.some((name) => id === name || id.startsWith(`${name}/`));

const define = replace({
  preventAssignment: true,
  values: {
    // Workbox keeps 20 kB of development messages unless this is replaced.
    "process.env.NODE_ENV": JSON.stringify("production"),
    NEARCAST_BUILD: JSON.stringify(version),
  },
});

/**
 * PeerJS makes an RTCPeerConnection when it is loaded, to see what the browser can do, with a third party's STUN and TURN
 * in it. That takes 15 ms of every page before its player starts; whether there is WebRTC, `missingFeature()` has asked.
 */
const untried = replace({
  include: "**/peerjs/dist/bundler.mjs",
  delimiters: ["", ""],
  values: {
    "if (!supported.webRTC) return supported;":
      "return { ...supported, audioVideo: supported.webRTC, data: supported.webRTC };",
    // Connections are raw and nothing else: the code of other serializers has no place in the page.
    "binary: (0, $9fcfddb3ae148f88$export$f0a5a64d5bb37108),": "",
    '"binary-utf8": (0, $9fcfddb3ae148f88$export$f0a5a64d5bb37108),': "",
    "default: (0, $9fcfddb3ae148f88$export$f0a5a64d5bb37108)": "",
    "json: (0, $817f931e3f9096cf$export$48880ac635f47186),": "",
  },
});

/** What packages bring for old browsers, for Node, or for serializers that we refuse; each file says why. */
const LEFT_OUT = {
  "@xmldom/xmldom": "tools/native-xmldom.mjs",
  "webrtc-adapter": "tools/native-webrtc.mjs",
  "peerjs-js-binarypack": "tools/no-binarypack.mjs",
};
const leaveOut = {
  name: "leave-out",
  resolveId: (id) => (id in LEFT_OUT ? resolve(LEFT_OUT[id]) : null),
};

/** A self-contained browser file: a page or worker needs no bundler for it, and a site's bundler no settings. */
const bundled = (input, file, format = "iife", { minify = true } = {}) => ({
  input,
  plugins: [
    define,
    untried,
    leaveOut,
    nodeResolve({ browser: true }),
    // webrtc-adapter's `sdp` says `module` but is CommonJS inside.
    commonjs(),
    esbuild({ target: "es2022" }),
    ...(minify ? [terser()] : []),
  ],
  output: { file, format, sourcemap: true },
});

/** A module of Node that leaves its dependencies to `node_modules`. */
const library = (input, file, banner) => ({
  input,
  external,
  plugins: [define, nodeResolve(), esbuild({ target: "node20" })],
  output: { file, format: "es", sourcemap: true, ...(banner && { banner }) },
});

const types = (input, file, tsconfig) => ({
  input,
  external,
  plugins: [dts({ tsconfig })],
  output: { file, format: "es" },
});

export default [
  bundled("src/script.ts", "dist/nearcast.js"),
  bundled("src/playlists.ts", "dist/nearcast-playlists.js", "es"),
  bundled("src/sw/main.ts", "dist/nearcast-sw.js"),
  bundled("src/sw/destroy.ts", "dist/nearcast-sw-destroy.js"),
  bundled("src/index.ts", "dist/index.js", "es", { minify: false }),
  bundled("src/sw/index.ts", "dist/sw.js", "es", { minify: false }),
  library("src/signal/index.ts", "dist/server.js"),
  library("src/cli/main.ts", "dist/cli.js", "#!/usr/bin/env node"),
  types("src/index.ts", "dist/index.d.ts", "tsconfig.page.json"),
  types("src/sw/index.ts", "dist/sw.d.ts", "tsconfig.worker.json"),
  types("src/signal/index.ts", "dist/server.d.ts", "tsconfig.node.json"),
];
