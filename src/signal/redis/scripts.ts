/**
 * What Redis does in one step, because half of it would be wrong: a key without its end, an id that two nodes
 * take at once, a value that is too long to be read. Each works on one key, as clusters demand.
 * @module
 */
import { createHash } from "node:crypto";

export interface Script {
  readonly text: string;
  readonly sha1: string;
}

function script(text: string): Script {
  return { text, sha1: createHash("sha1").update(text).digest("hex") };
}

/** Fields of one hash: one for each node; more are somebody else's. */
const FIELDS_MAX = 1_024;

/** Sets one field of a hash and its end: field, value, time to live in milliseconds. */
export const PUT = script(
  "local t=redis.call('TYPE',KEYS[1]).ok\n" +
    `if t~='hash' or redis.call('HLEN',KEYS[1])>${FIELDS_MAX} then redis.call('DEL',KEYS[1]) end\n` +
    "redis.call('HSET',KEYS[1],ARGV[1],ARGV[2])\n" +
    "redis.call('PEXPIRE',KEYS[1],ARGV[3]) return 1",
);

/** Rounds in which strange fields are swept out before what is left is told: 8 fields each. */
const SWEEPS_MAX = 16;

/** Some fields of a hash: how many, longest value. What is longer, or not named like a node, is deleted. */
export const SOME = script(
  "if redis.call('TYPE',KEYS[1]).ok~='hash' then return {} end\n" +
    `local found for _=1,${SWEEPS_MAX} do found={} local clean=true\n` +
    "for _,f in ipairs(redis.call('HRANDFIELD',KEYS[1],ARGV[1])) do\n" +
    "if #f==16 and string.match(f,'^[0-9a-f]+$') and redis.call('HSTRLEN',KEYS[1],f)<=tonumber(ARGV[2]) then\n" +
    "found[#found+1]=f found[#found+1]=redis.call('HGET',KEYS[1],f)\n" +
    "else redis.call('HDEL',KEYS[1],f) clean=false end end\n" +
    "if clean then break end end return found",
);

/** Keeps a value: its time starts again if it is there, it is set if nothing is; else what is there is told. */
export const HOLD = script(
  "local t=redis.call('TYPE',KEYS[1]).ok\n" +
    "if t~='string' then redis.call('DEL',KEYS[1]) end\n" +
    "local v=redis.call('GET',KEYS[1])\n" +
    "if v and v~=ARGV[1] then return string.sub(v,1,ARGV[3]) end\n" +
    "redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) return false",
);

/** Replaces one value by another: old, new, time to live. */
export const SWAP = script(
  "if redis.call('GET',KEYS[1])~=ARGV[1] then return 0 end\n" +
    "redis.call('SET',KEYS[1],ARGV[2],'PX',ARGV[3]) return 1",
);
