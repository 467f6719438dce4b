// Bundles the libraries that the pages use, once, into gpuprep/service/pages/vendor; the output is committed,
// and CI builds it again and compares the bytes. Pages themselves are plain modules and are not built.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "../gpuprep/service/pages/vendor");
const LIBRARIES = ["preact", "htm", "zarrita", "@niivue/niivue", "uplot"];
const nothing = join(here, "entries/nothing.js");

mkdirSync(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: ["preact", "zarrita", "niivue", "uplot"].map((name) => `entries/${name}.js`),
  outdir: out,
  bundle: true,
  format: "esm",
  target: ["chrome110", "firefox115", "safari16.4"],
  minify: true,
  legalComments: "none",
  alias: {},
  logLevel: "warning",
  plugins: [{
    name: "leave-out",
    setup({ onResolve }) {
      // zarrita's own Blosc and Zstd are WebAssembly that calls new Function: none runs under our policy
      onResolve({ filter: /^numcodecs/ }, () => ({ path: nothing }));
      onResolve({ filter: /^(zarrita|@zarrita\/.*)$/ }, ({ importer }) =>
        importer.includes("niivue") && !importer.includes("entries") ? { path: nothing } : undefined);
    },
  }],
});
await build({ // the only page that is built: a report is one file, which loads nothing
  absWorkingDir: here,
  entryPoints: [{ in: "../gpuprep/service/pages/report.js", out: "report" }],
  outdir: out,
  bundle: true,
  format: "iife",
  target: ["chrome110", "firefox115", "safari16.4"],
  minify: true,
  charset: "ascii",
  legalComments: "none",
  logLevel: "warning",
});
const licences = LIBRARIES.map((name) => {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const kept = join(here, "licences", `${name.replace("@niivue/", "")}.txt`);
  const file = existsSync(join(folder, "LICENSE")) ? join(folder, "LICENSE") : kept;
  return `${name} ${version} (${license})\n\n${readFileSync(file, "utf8").trim()}\n`;
});
writeFileSync(join(out, "LICENCES.txt"), licences.join(`\n${"-".repeat(80)}\n\n`));
copyFileSync(join(here, "node_modules/uplot/dist/uPlot.min.css"), join(out, "uplot.css"));
