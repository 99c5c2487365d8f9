// Bundles the player into the Python package: one script, one style sheet, the licence of three.js.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { build } from "esbuild";

const assets = new URL("../src/exuvia/view/assets/", import.meta.url);
mkdirSync(assets, { recursive: true });

// The tests compare this sum with the sources, so that a stale bundle is noticed without node.
const sources = createHash("sha256");
for (const name of readdirSync("src").sort()) {
  sources.update(name + "\n");
  sources.update(readFileSync("src/" + name));
}
const stamp = `/* Exuvia motion player; sources sha256 ${sources.digest("hex")} */`;

const common = { bundle: true, minify: true, charset: "utf8", legalComments: "inline", logLevel: "info" };
await build({
  ...common,
  entryPoints: ["src/page.ts"],
  outfile: new URL("player.js", assets).pathname,
  format: "iife",
  target: "es2022",
  banner: { js: `${stamp}\n/* contains three.js, MIT licence, see THREE-LICENSE.txt */` },
});
await build({
  ...common,
  entryPoints: ["src/page.css"],
  outfile: new URL("player.css", assets).pathname,
});
copyFileSync("node_modules/three/LICENSE", new URL("THREE-LICENSE.txt", assets));
