// Drives one Chromium for many tests: a line of JSON in is a command, a line of JSON out is its answer.
// Expressions go through the debugger, which the pages' policy does not bind; the policy itself stays as it is.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../web/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const [executablePath] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: [
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", // nothing leaves the machine, asked for or not
  ],
});
const pages = new Map();

async function open({ id, before = [], ...options }) {
  const context = await browser.newContext(options);
  for (const script of before) await context.addInitScript({ content: script });
  const page = await context.newPage();
  const heard = { requests: [], errors: [], answers: [] };
  page.on("request", (request) => heard.requests.push(request.url()));
  page.on("response", (response) => heard.answers.push([response.status(), response.url()]));
  page.on("console", (message) =>
    message.type() === "error" && heard.errors.push(`${message.text()} (${message.location().url})`));
  page.on("pageerror", (error) => heard.errors.push((heard.broken = `${error.message}\n${error.stack}`)));
  page.on("crash", () => heard.errors.push("the page crashed"));
  page.on("dialog", (dialog) => { heard.errors.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  const debug = await context.newCDPSession(page);
  pages.set(id, { context, page, heard, debug });
}

async function evaluate({ id, expression }) {
  const { result, exceptionDetails } = await pages.get(id).debug.send("Runtime.evaluate", {
    expression, awaitPromise: true, returnByValue: true, allowUnsafeEvalBlockedByCSP: true,
  });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}

async function wait({ id, expression, seconds }) {
  const until = Date.now() + 1000 * seconds;
  for (;;) {
    const value = await evaluate({ id, expression }).catch((error) => {
      if (/context was destroyed|Cannot find context|navigat/i.test(error.message)) return false;
      throw error;
    });
    if (value) return value;
    const { broken } = pages.get(id).heard;
    if (broken) throw new Error(`a script broke: ${broken}`);
    if (Date.now() > until) throw new Error(`${seconds} s passed without: ${expression}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

const COMMANDS = {
  open,
  evaluate,
  wait,
  goto: async ({ id, url }) => (await pages.get(id).page.goto(url, { waitUntil: "domcontentloaded" }))?.status(),
  click: ({ id, x, y }) => pages.get(id).page.mouse.click(x, y),
  drag: async ({ id, from, to }) => {
    const { mouse } = pages.get(id).page;
    await mouse.move(...from);
    await mouse.down();
    await mouse.move(...to, { steps: 5 });
    await mouse.up();
  },
  wheel: async ({ id, x, y, by }) => { const { mouse } = pages.get(id).page; await mouse.move(x, y); await mouse.wheel(0, by); },
  press: ({ id, key }) => pages.get(id).page.keyboard.press(key),
  type: ({ id, text }) => pages.get(id).page.keyboard.type(text),
  size: ({ id, width, height }) => pages.get(id).page.setViewportSize({ width, height }),
  scheme: ({ id, scheme }) => pages.get(id).page.emulateMedia({ colorScheme: scheme }),
  offline: ({ id, isOffline }) => pages.get(id).context.setOffline(isOffline),
  picture: async ({ id, clip, whole }) =>
    (await pages.get(id).page.screenshot({ clip: clip ?? undefined, fullPage: whole, animations: "disabled" })).toString("base64"),
  heard: ({ id }) => pages.get(id).heard,
  state: ({ id }) => pages.get(id).context.storageState(),
  close: async ({ id }) => { await pages.get(id).context.close(); pages.delete(id); },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...given } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await COMMANDS[command](given)) ?? null };
  } catch (error) {
    answer = { failed: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
