// Affine maps of the plane, and what a selection of points is: its rows, bounds and centre.
//
// An affine is [a, b, c, d, e, f] in the order of the canvas: x' = a x + c y + e, y' = b x + d y + f.

export const IDENTITY_AFFINE = Object.freeze([1, 0, 0, 1, 0, 0]);

/**
 * The affine that applies `first`, then `second`.
 * @param {number[]} second
 * @param {number[]} first
 * @returns {number[]}
 */
export function composeAffines(second, first) {
  const [a, b, c, d, e, f] = second;
  const [p, q, r, s, t, u] = first;
  return [
    a * p + c * q, b * p + d * q, a * r + c * s, b * r + d * s,
    a * t + c * u + e, b * t + d * u + f,
  ];
}

/** The affine that takes back what another does; the other itself where it flattens the plane. */
export function inverseAffine(affine) {
  const [a, b, c, d, e, f] = affine;
  const area = a * d - b * c;
  if (area === 0) return affine;
  return [d / area, -b / area, -c / area, a / area, (c * f - d * e) / area, (b * e - a * f) / area];
}

/** Where an affine takes one point. */
export function movedPoint(affine, [x, y]) {
  const [a, b, c, d, e, f] = affine;
  return [a * x + c * y + e, b * x + d * y + f];
}

/** The affine that shifts by (dx, dy). */
export function shiftAffine([dx, dy]) {
  return [1, 0, 0, 1, dx, dy];
}

/** The affine c + factor * (y - c). */
export function scaleAffine(factor, [cx, cy]) {
  return [factor, 0, 0, factor, cx - factor * cx, cy - factor * cy];
}

/** The affine that turns about a centre, counter-clockwise on a map whose y axis points up. */
export function turnAffine(degrees, [cx, cy]) {
  const angle = (degrees * Math.PI) / 180;
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  return [cos, sin, -sin, cos, cx - cos * cx + sin * cy, cy - sin * cx - cos * cy];
}

/**
 * The shifts that bring two centres to a distance, each half of the way.
 * @returns {number[][]|null} Affines of the first and second group; null where the centres coincide.
 */
export function separateAffines(first, second, distance) {
  const along = [second[0] - first[0], second[1] - first[1]];
  const present = Math.hypot(...along);
  if (!(present > 0)) return null;
  const step = along.map((part) => ((distance - present) / 2) * (part / present));
  return [shiftAffine(step.map((part) => -part)), shiftAffine(step)];
}

/**
 * The rows where a mask equals `value`, or is not 0 where `value` is left out.
 * @param {Uint8Array|null} mask
 * @param {number} [value]
 * @returns {Int32Array}
 */
export function rowsOfMask(mask, value) {
  if (!mask) return new Int32Array(0);
  const rows = new Int32Array(mask.length);
  let count = 0;
  for (let k = 0; k < mask.length; k += 1) {
    if (value === undefined ? mask[k] !== 0 : mask[k] === value) {
      rows[count] = k;
      count += 1;
    }
  }
  return rows.slice(0, count);
}

/**
 * The box around the finite points.
 * @param {Float32Array} xy x0 y0 x1 y1 …
 * @param {Int32Array|null} [rows] Those of the points that count; all where null.
 * @returns {{left: number, bottom: number, right: number, top: number}|null} null without any.
 */
export function boundsOfPoints(xy, rows = null) {
  let left = Infinity;
  let bottom = Infinity;
  let right = -Infinity;
  let top = -Infinity;
  const count = rows ? rows.length : xy.length / 2;
  for (let n = 0; n < count; n += 1) {
    const at = 2 * (rows ? rows[n] : n);
    const x = xy[at];
    const y = xy[at + 1];
    if (x - x !== 0 || y - y !== 0) continue; // NaN or infinite
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < bottom) bottom = y;
    if (y > top) top = y;
  }
  return left <= right ? { left, bottom, right, top } : null;
}

/** The mean of the finite points at `rows` (all where null), or null without any. */
export function centreOfPoints(xy, rows = null) {
  let x = 0;
  let y = 0;
  let finite = 0;
  const count = rows ? rows.length : xy.length / 2;
  for (let n = 0; n < count; n += 1) {
    const at = 2 * (rows ? rows[n] : n);
    const sum = xy[at] + xy[at + 1];
    if (sum - sum !== 0) continue;
    x += xy[at];
    y += xy[at + 1];
    finite += 1;
  }
  return finite ? [x / finite, y / finite] : null;
}

/** Positions of which those at `rows` are moved by an affine; the given array stays as it is. */
export function movedPoints(xy, rows, affine) {
  const [a, b, c, d, e, f] = affine;
  const out = xy.slice();
  for (const row of rows) {
    const x = xy[2 * row];
    const y = xy[2 * row + 1];
    out[2 * row] = a * x + c * y + e;
    out[2 * row + 1] = b * x + d * y + f;
  }
  return out;
}
