// Bundles the pages into the Python package: for each one script, one style sheet, the licences of what it contains.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { build } from "esbuild";

// The tests compare this sum with the sources, so that a stale bundle is noticed without node.
function stamp(name, folders) {
  const sources = createHash("sha256");
  for (const folder of folders) {
    for (const file of readdirSync(folder).sort()) {
      sources.update(file + "\n");
      sources.update(readFileSync(`${folder}/${file}`));
    }
  }
  return `/* Exuvia ${name}; sources sha256 ${sources.digest("hex")} */`;
}

const common = { bundle: true, minify: true, charset: "utf8", legalComments: "inline", logLevel: "info" };
const script = { ...common, format: "iife", target: "es2022", jsx: "automatic", jsxImportSource: "preact" };

// What the studio takes from the player stands in the player's bundle, which its page loads first.
const player = {
  name: "player",
  setup(build) {
    build.onResolve({ filter: /^\.\.\/src\/(row|players)$/ }, () => ({ path: "player", namespace: "player" }));
    build.onLoad({ filter: /.*/, namespace: "player" }, () => ({ contents: "module.exports = ExuviaPlayer;" }));
  },
};

async function bundle(folder, name, entry, style, banner, options) {
  const assets = new URL(`../src/exuvia/${folder}/assets/`, import.meta.url);
  mkdirSync(assets, { recursive: true });
  const outfile = new URL(`${name}.js`, assets).pathname;
  await build({ ...script, ...options, entryPoints: [entry], outfile, banner: { js: banner } });
  await build({ ...common, entryPoints: [style], outfile: new URL(`${name}.css`, assets).pathname });
  return assets;
}

const three = `${stamp("motion player", ["src"])}\n/* contains three.js, MIT licence, see THREE-LICENSE.txt */`;
const view = await bundle("view", "player", "src/page.ts", "src/page.css", three, { globalName: "ExuviaPlayer" });
copyFileSync("node_modules/three/LICENSE", new URL("THREE-LICENSE.txt", view));
const preact = `${stamp("Studio", ["src", "studio"])}\n/* contains Preact, MIT licence, see PREACT-LICENSE.txt */`;
const studio = await bundle("studio", "studio", "studio/main.tsx", "studio/studio.css", preact, { plugins: [player] });
copyFileSync("node_modules/preact/LICENSE", new URL("PREACT-LICENSE.txt", studio));
