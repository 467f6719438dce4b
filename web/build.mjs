// Bundles the libraries that the pages use, once, into gpuprep/service/pages/vendor; the output is committed.
// `node build.mjs --check` builds into memory and says which committed files differ. Pages themselves are plain modules; only
// the report's is built, since it is one file that loads nothing.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "../gpuprep/service/pages/vendor");
const ENTRIES = ["preact", "zarrita", "niivue"];
const nothing = join(here, "entries/nothing.js");

const leaveOut = {
  name: "leave-out",
  setup({ onLoad, onResolve }) {
    // zarrita's own Blosc and Zstd are WebAssembly that calls new Function: none runs under our policy
    onResolve({ filter: /^numcodecs/ }, () => ({ path: nothing }));
    onResolve({ filter: /^(zarrita|@zarrita\/.*)$/ }, ({ importer }) =>
      importer.includes("niivue") && !importer.includes("entries") ? { path: nothing } : undefined);
    onLoad({ filter: /@niivue\/niivue\/build\/niivue\/index\.js$/ }, ({ path }) => ({ contents: withoutRendering(readFileSync(path, "utf8")) }));
  },
};

/** NiiVue without what only 3-D rendering and its own letters need: the gradient of each volume, a font, a picture of light, and
 * thirty shaders, which it compiles before the first picture (each is the simplest one here). */
function withoutRendering(text) {
  const changes = [
    [/function gradientGL\(params\) \{\n/g, 1, "function gradientGL(params) {\n  return params.gradientTexture;\n"],
    [/this\.program = compileShader\(gl, vertexSrc, fragmentSrc\);/g, 1, `
    const drawn = [fragSliceMMShader, fragPassThroughShader, fragOrientShaderF + fragOrientShader, fragOrientShaderU + fragRGBOrientShader];
    if (!drawn.includes(fragmentSrc)) [vertexSrc, fragmentSrc] = [vertPassThroughShader, fragPassThroughShader];
    this.program = compileShader(gl, vertexSrc, fragmentSrc);`],
    [/"data:image\/(?:png|jpeg);base64,[^"]*"/g, 2, '""'],
  ];
  return changes.reduce((changed, [from, times, to]) => {
    if ((changed.match(from) ?? []).length !== times) throw new Error(`NiiVue has changed: ${from} is not there ${times} times`);
    return changed.replace(from, to);
  }, text);
}

const COMMON = {
  absWorkingDir: here,
  outdir: out,
  write: false,
  metafile: true,
  bundle: true,
  target: ["chrome110", "firefox115", "safari16.4"],
  minify: true,
  legalComments: "none",
  logLevel: "warning",
};

async function bundles() {
  const made = await Promise.all([
    build({ ...COMMON, entryPoints: ENTRIES.map((name) => `entries/${name}.js`), format: "esm", plugins: [leaveOut] }),
    // the only page that is built: a report is one file, which loads nothing
    build({ ...COMMON, entryPoints: [{ in: "../gpuprep/service/pages/report.js", out: "report" }], format: "iife", charset: "ascii" }),
  ]);
  const written = made.flatMap(({ outputFiles }) => outputFiles);
  const files = new Map(written.map(({ path, contents }) => [path.slice(out.length + 1), Buffer.from(contents)]));
  return files.set("LICENCES.txt", Buffer.from(licences(Object.assign({}, ...made.map(({ metafile }) => metafile.inputs)))));
}

/** The licence of every package of which something is in a bundle. */
function licences(inputs) {
  const folders = new Set(Object.keys(inputs).map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]).filter(Boolean));
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(here, folder, "package.json"), "utf8"));
    const told = readdirSync(join(here, folder)).find((file) => /^licen[cs]e(\.(md|txt))?$/i.test(file));
    const kept = join(here, "licences", `${name.split("/").at(-1)}.txt`); // for packages that come without the text
    if (!told && !existsSync(kept)) throw new Error(`${name} comes without its licence, and web/licences has none`);
    return `${name} ${version} (${license})\n\n${readFileSync(told ? join(here, folder, told) : kept, "utf8").replaceAll("\r", "").trim()}\n`;
  });
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

const made = await bundles();
if (process.argv.includes("--check")) {
  const differing = [...made].filter(([name, bytes]) => !existsSync(join(out, name)) || !readFileSync(join(out, name)).equals(bytes));
  const left = readdirSync(out).filter((name) => !made.has(name));
  for (const [name] of differing) console.error(`${name} is not what web/ makes: run npm run build`);
  for (const name of left) console.error(`${name} is made by nothing in web/`);
  process.exitCode = differing.length + left.length > 0 ? 1 : 0;
} else {
  mkdirSync(out, { recursive: true });
  for (const [name, bytes] of made) writeFileSync(join(out, name), bytes);
}
