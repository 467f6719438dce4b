// The pages' modules for node: they carry no package.json that would say that they are modules, so they come bundled.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
export const goldens = JSON.parse(readFileSync(join(here, "goldens.json"), "utf8"));

/** What a module of gpuprep/service/pages exports. */
export async function page(name) {
  const entry = join(here, "../../gpuprep/service/pages", name);
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, format: "esm", platform: "neutral", write: false, logLevel: "warning" });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}
