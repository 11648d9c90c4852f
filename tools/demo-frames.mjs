/**
 * Paints the demo's film and pictures: one day at a lake, from dawn to the lanterns of the night.
 *
 * It writes raw RGB frames to standard output for ffmpeg to encode, so the project owns every pixel that it ships and
 * a clone can make them again. Nothing here is random: the same arguments give the same bytes.
 *
 *     node tools/demo-frames.mjs film WIDTH HEIGHT FRAMES
 *     node tools/demo-frames.mjs picture WIDTH HEIGHT DAYTIME SEED
 */
import { once } from "node:events";

const mix = (a, b, share) => a + (b - a) * share;
const clamp = (value, low = 0, high = 1) => Math.min(high, Math.max(low, value));
const smooth = (low, high, value) => {
  const share = clamp((value - low) / (high - low));
  return share * share * (3 - 2 * share);
};

/** A number in [0, 1) that depends on nothing but its arguments. */
function hash(x, y = 0) {
  let bits = Math.imul(x | 0, 0x27d4eb2d) ^ Math.imul(y | 0, 0x165667b1);
  bits = Math.imul(bits ^ (bits >>> 15), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
}

function noise(x, seed) {
  const cell = Math.floor(x);
  return mix(hash(cell, seed), hash(cell + 1, seed), smooth(0, 1, x - cell));
}

const hex = (text) => [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16));

// Colours through the day: zenith, horizon, sun or moon, farthest ridge, nearest ridge. The last row equals the first,
// so that the film loops.
const DAY = [
  [0.0, "#2b3a67", "#f4a582", "#ffd9a0", "#9a86a4", "#1d2340"],
  [0.12, "#4f7cac", "#ffd6a5", "#fff1c9", "#a7a6bf", "#22314d"],
  [0.3, "#3d8fd1", "#cfeaf5", "#fffbe6", "#8fb4c9", "#17404a"],
  [0.46, "#5b6fb5", "#ffc38b", "#fff0b8", "#a891ad", "#2a2f4f"],
  [0.57, "#3b2a63", "#ff7a59", "#ffb36b", "#84507c", "#201a3a"],
  [0.68, "#141a3c", "#6b3f78", "#ffd9c0", "#3d3561", "#0f1228"],
  [0.8, "#070d24", "#1c3358", "#eef4ff", "#1d2d4d", "#060a18"],
  [0.92, "#101a3c", "#57557f", "#f3ecff", "#3c4068", "#0d1226"],
  [1.0, "#2b3a67", "#f4a582", "#ffd9a0", "#9a86a4", "#1d2340"],
].map(([at, ...colours]) => ({ at, colours: colours.map(hex) }));

function coloursAt(time) {
  const next = Math.max(
    1,
    DAY.findIndex(({ at }) => at >= time),
  );
  const [from, to] = [DAY[next - 1], DAY[next]];
  const share = smooth(from.at, to.at, time);
  return from.colours.map((colour, i) =>
    colour.map((part, c) => mix(part, to.colours[i][c], share)),
  );
}

const RIDGES = [
  { base: 0.5, rise: 0.2, waves: 2.2, drift: 0.25 },
  { base: 0.55, rise: 0.17, waves: 3.1, drift: 0.45 },
  { base: 0.6, rise: 0.13, waves: 3.8, drift: 0.75 },
  { base: 0.645, rise: 0.09, waves: 4.6, drift: 1.2 },
  { base: 0.69, rise: 0.05, waves: 5.5, drift: 1.9, trees: 0.05 },
];
const WATERLINE = 0.72;

/** The top of a wood: the highest of the three firs whose branches can reach this place. */
function firs(x, seed) {
  let top = 0;
  for (let cell = Math.floor(x) - 1; cell <= Math.floor(x) + 1; cell += 1) {
    const height = 0.35 + 0.65 * hash(cell, seed);
    const away = Math.abs(x - cell - 0.5 * hash(cell, seed + 1));
    const branches = 0.12 * Math.abs(((away * 7) % 1) - 0.5);
    top = Math.max(top, height - away * 1.15 - branches);
  }
  return Math.max(0, top);
}

/** Where each ridge starts in each column, in pixels from the top. */
function ridgeLines({ width, height, time, seed }) {
  return RIDGES.map(({ base, rise, waves, drift, trees }, layer) =>
    Float32Array.from({ length: width }, (_, column) => {
      // A whole number of noise cells per day would repeat visibly; the film hides its seam in the dark woods instead.
      const x = (column / height) * waves + time * drift * 4 + seed * 31 + layer * 17;
      const hills =
        0.62 * noise(x, layer) +
        0.26 * noise(x * 2.3, layer + 9) +
        0.12 * noise(x * 5.1, layer + 5);
      const wood = trees ? trees * firs(x * 9, layer + 3) : 0;
      return (base - rise * (hills - 0.35) - wood) * height;
    }),
  );
}

/** Sun by day, moon by night: each crosses the sky once. */
function discAt(time) {
  const night = time > 0.6;
  const share = night ? (time - 0.62) / 0.36 : time / 0.6;
  return {
    x: mix(0.12, 0.88, share),
    y: 0.62 - Math.sin(share * Math.PI) * (night ? 0.46 : 0.5),
    radius: night ? 0.034 : 0.05,
    glow: night ? 0.32 : 0.75,
  };
}

function skyPixel(scene, x, y, out) {
  const { width, height, colours, disc, night, time } = scene;
  const [zenith, horizon, light] = colours;
  const up = clamp(y / (0.66 * height)) ** 1.35;
  const away = Math.hypot(x - disc.x * width, y - disc.y * height) / height;
  const edge = clamp((disc.radius - away) * height + 0.5);
  const glow = disc.glow * (0.55 * Math.exp(-away * 5.5) + 0.45 * Math.exp(-away * 16)) + edge;
  let aurora = 0;
  let star = 0;
  if (night > 0.01) {
    const u = x / height;
    const curtain =
      0.17 + 0.07 * Math.sin(u * 3.1 + time * 60) + 0.04 * Math.sin(u * 7.3 - time * 95);
    const below = y / height - curtain;
    const rays = 0.62 + 0.38 * Math.sin(u * 34 + 3 * Math.sin(u * 5 + time * 40));
    aurora = night * rays * (below < 0 ? Math.exp(below * 16) : Math.exp(-below * 60)) * 0.6;
    star = starlight(scene, x, y) * night * (1 - edge);
  }
  for (let c = 0; c < 3; c += 1) {
    const sky = mix(zenith[c], horizon[c], up);
    out[c] = sky + (light[c] - sky * 0.35) * Math.min(1, glow) + AURORA[c] * aurora + 215 * star;
  }
}
const AURORA = [40, 235, 165];

function starlight({ height, time }, x, y) {
  const size = height / 34;
  const [column, row] = [Math.floor(x / size), Math.floor(y / size)];
  if (hash(column, row + 71) > 0.36) return 0;
  const [sx, sy] = [(column + hash(column, row)) * size, (row + hash(row, column + 7)) * size];
  const twinkle = 0.65 + 0.35 * Math.sin(time * 160 + 40 * hash(column, row + 3));
  return twinkle * Math.exp(-((x - sx) ** 2 + (y - sy) ** 2) / (height / 560) ** 2);
}

/** Paints sky and hills above the waterline. Front to back, so most pixels need one ridge only. */
function paintLand(scene, frame) {
  const { width, height, colours, lines } = scene;
  const [, horizon, , far, near] = colours;
  const sky = [0, 0, 0];
  for (let y = 0; y <= WATERLINE * height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = (y * width + x) * 3;
      let open = 1;
      let [red, green, blue] = [0, 0, 0];
      for (let layer = RIDGES.length - 1; layer >= 0 && open > 0.004; layer -= 1) {
        const cover = clamp(y - lines[layer][x] + 0.5) * open;
        if (cover === 0) continue;
        const depth = layer / (RIDGES.length - 1);
        // Mist gathers in the valleys: each ridge pales towards its foot.
        const mist = (1 - depth * 0.75) * 0.6 * smooth(0, 0.17, (y - lines[layer][x]) / height);
        red += cover * mix(mix(far[0], near[0], depth), horizon[0], mist);
        green += cover * mix(mix(far[1], near[1], depth), horizon[1], mist);
        blue += cover * mix(mix(far[2], near[2], depth), horizon[2], mist);
        open -= cover;
      }
      if (open > 0.004) skyPixel(scene, x, y, sky);
      frame[at] = red + open * sky[0];
      frame[at + 1] = green + open * sky[1];
      frame[at + 2] = blue + open * sky[2];
    }
  }
}

/** Paper lanterns that rise from the shore in the dark. */
function paintLanterns({ width, height, time, night, seed }, frame) {
  if (night < 0.02) return;
  for (let lantern = 0; lantern < 26; lantern += 1) {
    const age = time * 3.2 + hash(lantern, seed + 50);
    const life = age - Math.floor(age);
    const size = height * (0.006 + 0.012 * hash(lantern, 51));
    const cx = width * hash(lantern, 52) + Math.sin(life * 9 + lantern) * height * 0.03;
    const cy = height * (WATERLINE - 0.02 - 0.62 * life);
    const light = night * smooth(0, 0.12, life) * (1 - smooth(0.75, 1, life));
    const reach = Math.ceil(size * 5);
    for (
      let y = Math.max(0, Math.floor(cy - reach));
      y < Math.min(WATERLINE * height, cy + reach);
      y += 1
    ) {
      for (let x = Math.max(0, Math.floor(cx - reach)); x < Math.min(width, cx + reach); x += 1) {
        const away = Math.hypot(x - cx, (y - cy) * 0.8) / size;
        const glow = light * (0.75 * smooth(1.15, 0.75, away) + 0.4 * Math.exp(-away * 1.1));
        const at = (y * width + x) * 3;
        frame[at] += 255 * glow;
        frame[at + 1] += 158 * glow;
        frame[at + 2] += 66 * glow;
      }
    }
  }
}

/** The lake mirrors what stands above it, broken by ripples that widen towards the viewer. */
function paintWater({ width, height, colours, time, seed }, frame) {
  const shore = Math.floor(WATERLINE * height);
  const [zenith] = colours;
  for (let y = shore + 1; y < height; y += 1) {
    const near = (y - shore) / (height - shore);
    const mirrored = Math.max(0, shore - (y - shore) * 1.9);
    const rowWave = Math.sin(near * 95 - near * near * 42 + time * 210 + seed) * near;
    for (let x = 0; x < width; x += 1) {
      const u = x / height;
      const ripple = rowWave * 0.5 + Math.sin(u * 11 + near * 46 + time * 130) * 0.5 * near;
      const column = Math.round(clamp(x + ripple * height * 0.014, 0, width - 1));
      const row = Math.round(clamp(mirrored + ripple * height * 0.02, 0, shore));
      const [at, from] = [(y * width + x) * 3, (row * width + column) * 3];
      const shade = 0.84 - 0.3 * near + 0.1 * ripple;
      for (let c = 0; c < 3; c += 1) frame[at + c] = frame[from + c] * shade + zenith[c] * 0.1;
    }
  }
}

function paint(width, height, time, seed) {
  const scene = { width, height, time, seed, colours: coloursAt(time), disc: discAt(time) };
  scene.night = smooth(0.64, 0.76, time) * (1 - smooth(0.88, 0.97, time));
  scene.lines = ridgeLines(scene);
  const frame = new Float32Array(width * height * 3);
  paintLand(scene, frame);
  paintLanterns(scene, frame);
  paintWater(scene, frame);
  // Half a step of fixed noise keeps the long gradients from banding in 8 bits.
  return Uint8ClampedArray.from(frame, (value, at) => value + grain[at % grain.length]);
}
const grain = Float32Array.from({ length: 65521 }, (_, at) => (hash(at, 99) - 0.5) * 1.6);

const [kind, ...numbers] = process.argv.slice(2);
const [width, height, third, seed = 1] = numbers.map(Number);
if (!["film", "picture"].includes(kind) || !(width > 0 && height > 0 && third >= 0)) {
  console.error(
    "Usage: demo-frames.mjs film WIDTH HEIGHT FRAMES | picture WIDTH HEIGHT DAYTIME SEED",
  );
  process.exit(2);
}
const times =
  kind === "film" ? Array.from({ length: third }, (_, frame) => frame / third) : [third];
for (const time of times) {
  if (!process.stdout.write(paint(width, height, time, seed))) await once(process.stdout, "drain");
}
