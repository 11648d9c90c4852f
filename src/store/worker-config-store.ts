/**
 * What the pages told the worker to accelerate. It survives the worker in IndexedDB: a worker that was
 * stopped and started again answers its first requests by it.
 * @module
 */
import { get, set, type UseStore } from "idb-keyval";
import type { WorkerConfig } from "../protocol/worker-messages.js";
import { isThere, openStore } from "./open-store.js";

let store: UseStore | undefined;
const configStore = () => (store ??= openStore("config"));

/** @returns The configuration of the last page, or `undefined` if none ever came. */
export async function loadWorkerConfig(): Promise<WorkerConfig | undefined> {
  return (await isThere("config")) ? get<WorkerConfig>("config", configStore()) : undefined;
}

export async function saveWorkerConfig(config: WorkerConfig): Promise<void> {
  await set("config", config, configStore());
}
