/** Scales of small charts: from numbers to places, and ticks that people would choose. */

/**
 * The span of some numbers; those that are not finite do not count.
 *
 * @param {number[]} values
 * @returns {[number, number]} [0, 1] where there is none.
 */
export function numberSpan(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  if (low === high) return [low - 0.5, high + 0.5];
  return [low, high];
}

/**
 * Round numbers within a span: steps of 1, 2 or 5 times a power of ten.
 *
 * @param {number} low
 * @param {number} high
 * @param {number} about How many there should be, roughly.
 * @returns {number[]}
 */
export function roundTicks(low, high, about = 4) {
  const rough = (high - low) / Math.max(about, 1);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.75);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) {
    ticks.push(Number((k * step).toPrecision(12)));
  }
  return ticks;
}

/** From a span to another, in proportion. */
export function linearScale([low, high], [start, end]) {
  const rate = (end - start) / (high - low || 1);
  return (value) => start + (value - low) * rate;
}

/**
 * A curve as the path of an SVG; it breaks where there is no number.
 *
 * @param {Array<[number, number]>} points
 * @param {function(number): number} x
 * @param {function(number): number} y
 */
export function curvePath(points, x, y) {
  let path = "";
  let open = false;
  for (const [at, value] of points) {
    if (!Number.isFinite(value)) {
      open = false;
      continue;
    }
    path += `${open ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    open = true;
  }
  return path;
}
