/** Finds the browsers for tests and benchmarks, and installs Chromium where that needs no question (Debian as root). */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const CHROME_VARIABLES = ["CHROME_PATH", "PUPPETEER_EXECUTABLE_PATH", "CHROME_BIN"];
const CHROME_NAMES = [
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
  "chrome",
];

const programFolders = ["PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"]
  .map((name) => process.env[name])
  .filter(Boolean);

const CHROME_PLACES = {
  linux: [
    "/usr/bin/chromium",
    "/usr/lib/chromium/chromium",
    "/opt/google/chrome/chrome",
    "/snap/bin/chromium",
  ],
  darwin: [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
  ],
  win32: programFolders.flatMap((folder) => [
    join(folder, "Google", "Chrome", "Application", "chrome.exe"),
    join(folder, "Chromium", "Application", "chrome.exe"),
  ]),
};

const FIREFOX_PLACES = {
  linux: ["/usr/bin/firefox", "/usr/bin/firefox-esr", "/opt/firefox/firefox", "/snap/bin/firefox"],
  darwin: ["/Applications/Firefox.app/Contents/MacOS/firefox"],
  win32: programFolders.map((folder) => join(folder, "Mozilla Firefox", "firefox.exe")),
};

function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function onPath(names) {
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  const suffix = process.platform === "win32" ? ".exe" : "";
  return names
    .flatMap((name) => folders.map((folder) => join(folder, name + suffix)))
    .find(executable);
}

/** A variable that is set and wrong is a mistake worth telling; silently taking another browser would hide it. */
function fromEnvironment(variables) {
  const name = variables.find((variable) => process.env[variable]);
  if (!name) return undefined;
  if (executable(process.env[name])) return process.env[name];
  throw new Error(
    `${name}: must be the path of a browser that can be run, current value is "${process.env[name]}"`,
  );
}

const isRoot = () => process.getuid?.() === 0;

/** @returns The path of Chrome or Chromium, or `undefined`. Never installs anything. */
export function findChrome() {
  const places = CHROME_PLACES[process.platform] ?? [];
  return fromEnvironment(CHROME_VARIABLES) ?? onPath(CHROME_NAMES) ?? places.find(executable);
}

/** @returns The path of Firefox, or `undefined`. Never installs anything. */
export function findFirefox() {
  const places = FIREFOX_PLACES[process.platform] ?? [];
  return (
    fromEnvironment(["FIREFOX_PATH"]) ??
    onPath(["firefox", "firefox-esr"]) ??
    places.find(executable)
  );
}

function installOnDebian() {
  if (process.platform !== "linux" || !isRoot() || !existsSync("/etc/debian_version")) return;
  console.error("Installing Chromium (apt-get) ...");
  // Standard output may be what a script reads the path from, so apt's words go to standard error.
  const apt = (...args) => {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    return spawnSync("apt-get", args, { stdio: ["ignore", 2, 2], env }).status === 0;
  };
  const install = () => apt("install", "-y", "--no-install-recommends", "chromium");
  // A fresh image has no package lists, and stale ones name versions that are gone; both need the update first.
  if (!install() && apt("update")) install();
}

/**
 * Finds Chrome or Chromium, installing Chromium on Debian when this user is root.
 *
 * @returns The path of the browser.
 * @throws {Error} With one line that says what to install.
 */
export function ensureChrome() {
  const found = findChrome();
  if (found) return found;
  installOnDebian();
  const installed = findChrome();
  if (installed) return installed;
  throw new Error(
    "Cannot find a browser: install Chrome or Chromium, or set CHROME_PATH to its program file",
  );
}

/** @returns The arguments with which headless Chrome runs WebRTC and autoplay without noise, also in a container. */
export function chromeArgs() {
  const outside = Object.values(networkInterfaces())
    .flat()
    .some(({ internal }) => !internal);
  return [
    // Chrome refuses its sandbox to root; everybody else keeps it.
    ...(isRoot() ? ["--no-sandbox"] : []),
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    // Chrome prepares pages of its own for its address bar, in the very second in which a page of ours starts.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup",
    // Without an outside address WebRTC has no candidate at all, unless loopback may be one.
    ...(outside ? [] : ["--allow-loopback-in-peer-connection"]),
  ];
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    console.log(ensureChrome());
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
