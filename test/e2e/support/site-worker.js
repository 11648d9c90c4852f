/** A site's own Workbox worker that Nearcast is attached to; bundled by the rig. */
import { clientsClaim } from "workbox-core";
import { registerRoute } from "workbox-routing";
import { attach } from "../../../dist/sw.js";

self.skipWaiting();
clientsClaim();
registerRoute(
  ({ url }) => url.pathname === "/own-route",
  () => new Response("the site's own"),
);
attach();
