/**
 * What tests use of the simulator.
 * @module
 */
export { configOf } from "./config.js";
export { main } from "./main.js";
export { HeldTable, maskOf } from "./page/held-table.js";
export { EventQueue } from "./run/event-queue.js";
export { InvariantError } from "./run/guard.js";
export { eachMessage, Outbox } from "./run/outbox.js";
export { simulate } from "./run/simulation.js";
export { simulateInThreads } from "./run/threads.js";
