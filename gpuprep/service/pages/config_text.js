// A config as YAML, as it could stand in a file: plain keys, short lists in one line.

const PLAIN = /^[A-Za-z_][\w./-]*$/;
const WORDS = /^(true|false|null|yes|no|on|off|y|n)$/i; // YAML takes them for something else

export function configText(tree) {
  return Object.keys(tree).length ? lines(tree, "").join("\n") : "{}  # all as it is by default";
}

function lines(tree, indent) {
  return Object.entries(tree).flatMap(([key, value]) => {
    const name = `${indent}${text(key)}:`;
    if (isTree(value)) return [name, ...lines(value, `${indent}  `)];
    if (Array.isArray(value) && value.some(isTree)) return [name, ...value.flatMap((each) => entry(each, `${indent}  `))];
    return [`${name} ${flow(value)}`];
  });
}

function entry(value, indent) {
  if (!isTree(value)) return [`${indent}- ${flow(value)}`];
  const [first, ...rest] = lines(value, `${indent}  `);
  return [`${indent}- ${first.trimStart()}`, ...rest];
}

function flow(value) {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (value && typeof value === "object") return `{${Object.entries(value).map(([key, each]) => `${text(key)}: ${flow(each)}`).join(", ")}}`;
  return typeof value === "string" ? text(value) : JSON.stringify(value);
}

const isTree = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length > 0;
const text = (given) => (PLAIN.test(given) && !WORDS.test(given) ? given : JSON.stringify(given));
