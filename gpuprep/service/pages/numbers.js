// Numbers as people read them: thousands separators, units, no more digits than tell something.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** A count of things: 12,345. */
export const count = (n) => (Number.isFinite(n) ? whole.format(n) : "–");

/** A count with its noun: 1 case, 12,345 cases. */
export const counted = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

export const cases = (n) => counted(n, "case");

/** A measured value with as many digits as matter: 0.94, 1,050, 2.5e-7. */
export function value(x, digits = 4) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return x.toExponential(digits - 2).replace(/\.?0+e/, "e");
  const decimals = size === 0 ? 0 : digits - 1 - Math.floor(Math.log10(size));
  return new Intl.NumberFormat("en-US", { maximumFractionDigits: Math.max(0, decimals) }).format(x).replace("-", "−");
}

/** The same with its unit. */
export const valueWith = (x, unit) => (Number.isFinite(x) && unit ? `${value(x)} ${unit}` : value(x));

/** A byte count with a decimal unit: "1.3 MB". */
export function bytes(number) {
  if (!Number.isFinite(number)) return "";
  const names = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  let size = number;
  while (size >= 1000 && power < names.length - 1) [size, power] = [size / 1000, power + 1];
  return `${power ? size.toFixed(1) : Math.round(size)} ${names[power]}`;
}
