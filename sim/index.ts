/**
 * What tests use of the simulator.
 * @module
 */
export { configOf } from "./config.js";
export { EventQueue } from "./event-queue.js";
export { InvariantError } from "./guard.js";
export { HeldTable, maskOf } from "./held-table.js";
export { main } from "./main.js";
export { eachMessage, Outbox } from "./outbox.js";
export { simulate } from "./simulation.js";
export { simulateInThreads } from "./threads.js";
