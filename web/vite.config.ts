import { defineConfig } from "vite";

// `npm run dev` serves the page beside a running server: REELHOUSE_URL says where that is.
const server = process.env.REELHOUSE_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  // The light build lacks what our playlists do not use; several sounds to choose from are played without it.
  resolve: { alias: { "hls.js": "hls.js/dist/hls.light.mjs" } },
  build: {
    outDir: "dist/page",
    emptyOutDir: true,
    assetsDir: "static",
    // Under the policy of the page nothing is inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  server: { proxy: { "/v1.3": server, "/media": server, "/uploads": server } },
});
