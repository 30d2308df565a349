import { defineConfig } from "vite";

// The page is served under a policy without inline script or style and without data: addresses, so nothing is inlined.
export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  worker: { format: "es" },
});
