/** The benchmarks between homes, in network namespaces. */
import { scenarios } from "./scenarios.mjs";
import { stripes } from "./stripes.mjs";

export const benchmarks = { ...scenarios, stripes };
