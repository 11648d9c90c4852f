/**
 * Opens the databases of this origin that are Nearcast's, and deletes them. A database that somebody wants
 * gone is let go at once: an open connection would keep it alive.
 * @module
 */
import { createStore, type UseStore } from "idb-keyval";

/** Every database, each with one store of the same name. */
const DATABASES = ["assets", "windows", "pieces", "config"] as const;

const nameOf = (database: string) => `nearcast-${database}`;

export function openStore(database: (typeof DATABASES)[number]): UseStore {
  const use = createStore(nameOf(database), database);
  return (mode, callback) =>
    use(mode, (store) => {
      const { db } = store.transaction;
      db.onversionchange ??= () => db.close();
      return callback(store);
    });
}

const there = new Set<string>();

/**
 * Whether a database was ever written. To open one that is not there makes it, and on a first visit the page has better
 * use for the processor (docs/decisions/0042).
 */
export async function isThere(database: (typeof DATABASES)[number]): Promise<boolean> {
  const name = nameOf(database);
  if (there.has(name)) return true;
  let all: readonly IDBDatabaseInfo[];
  try {
    all = await indexedDB.databases();
  } catch {
    return true; // opening it will tell what is wrong
  }
  for (const { name: other } of all) if (other) there.add(other);
  return there.has(name);
}

/** Deletes all of them. Resolves when they are gone; rejects if the browser refuses. */
export async function deleteStores(): Promise<void> {
  await Promise.all(
    DATABASES.map(
      (database) =>
        new Promise<void>((resolve, reject) => {
          const request = indexedDB.deleteDatabase(nameOf(database));
          request.onsuccess = () => resolve();
          request.onerror = () => reject(request.error);
        }),
    ),
  );
}
