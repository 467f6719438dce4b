// Numbers as people read them: thousands separators, units, no more digits than tell something.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** A count of things: 12,345. */
export const count = (n) => (Number.isFinite(n) ? whole.format(n) : "–");

/** A count with its noun: 1 case, 12,345 cases. */
export const cases = (n) => `${count(n)} ${n === 1 ? "case" : "cases"}`;

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
