/**
 * Opens further viewers from inside a browser test. See test/support/wtr-viewers.mjs.
 * @module
 */
import { executeServerCommand } from "@web/test-runner-commands";

/** A page in a browser context of its own: own worker, own caches, own storage. */
export interface Viewer {
  /**
   * Runs `action` in the viewer's page and waits for its promise. The function travels as text, so it
   * sees nothing of the test but `argument`; argument and result travel as JSON (no result is `null`).
   * Modules of the project are imported by absolute path:
   * `await import("/src/protocol/asset.ts")`.
   */
  run<A, R>(action: (argument: A) => R | Promise<R>, argument: A): Promise<R>;
  run<R>(action: () => R | Promise<R>): Promise<R>;
  /** Closes page and context. @returns Uncaught errors of the page. */
  close(): Promise<readonly string[]>;
}

/**
 * Opens a viewer.
 *
 * @param path A page of the test server; by default an empty one.
 */
export async function openViewer(path = "/viewer.html"): Promise<Viewer> {
  const { id } = await command<{ id: string }>("viewer:open", { path });
  return {
    async run(action: (argument: never) => unknown, argument?: unknown) {
      const source = action.toString();
      const { value } = await command<{ value: never }>("viewer:eval", { id, source, argument });
      return value;
    },
    async close() {
      const { errors } = await command<{ errors: readonly string[] }>("viewer:close", { id });
      return errors;
    },
  };
}

/** Opens a viewer, hands it to `action` and closes it, whatever happens. */
export async function withViewer<R>(action: (viewer: Viewer) => Promise<R>): Promise<R> {
  const viewer = await openViewer();
  try {
    return await action(viewer);
  } finally {
    await viewer.close();
  }
}

async function command<R>(name: string, payload: object): Promise<R> {
  return (await executeServerCommand(name, payload)) as R;
}
