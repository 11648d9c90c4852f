/** Replaced at build time (rollup.config.mjs) and by the test runner: the version of package.json. */
declare const NEARCAST_BUILD: string;
