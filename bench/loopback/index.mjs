/** The benchmarks that need one machine and no privileges. */
import { cache } from "./cache.mjs";
import { control } from "./control.mjs";
import { hit } from "./hit.mjs";
import { passthrough } from "./passthrough.mjs";
import { redis } from "./redis.mjs";
import { seal } from "./seal.mjs";
import { unmatched } from "./unmatched.mjs";

export const benchmarks = { control, passthrough, hit, cache, unmatched, redis, seal };
