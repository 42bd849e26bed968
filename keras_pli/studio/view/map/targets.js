// Ghosts: where points would go, or where they came from, with an arrow a class.

import { rowsOfMask } from "./geometry.js";

const LEAST_ARROW_SHARE = 1e-3; // of the greatest coordinate; shorter ways are no movement

/**
 * @param {object} cloud The points as they are.
 * @param {{xy: Float32Array, moved?: Uint8Array|null}} given Where they would go, and which of them do.
 * @param {{share?: number|null, old?: boolean, arrows?: object[]}} options old: the ghosts are where points came
 *   from; arrows: those to draw instead of one a class.
 * @returns {{ghosts: {xy: Float32Array, rows: Int32Array},
 *   arrows: {from: number[], to: number[], color: string|null}[]}}
 */
export function ghostsOf(cloud, { xy, moved = null }, { old = false, arrows = null } = {}) {
  if (xy.length !== cloud.xy.length) {
    throw new Error(`Targets need one position a point, ${cloud.count}. Received ${xy.length / 2}.`);
  }
  const rows = rowsOfMask(moved ?? differing(cloud.xy, xy));
  return { ghosts: { xy, rows }, arrows: arrows ?? arrowsOfClasses(cloud, xy, rows, old) };
}

/** One arrow a class of the points at `rows`, between the means of where they are and of where they go. */
export function arrowsOfClasses(cloud, xy, rows, old) {
  const sums = new Map();
  for (const row of rows) {
    const [x0, y0, x1, y1] = [cloud.xy[2 * row], cloud.xy[2 * row + 1], xy[2 * row], xy[2 * row + 1]];
    if (!Number.isFinite(x0 + y0 + x1 + y1)) continue;
    const code = cloud.codes && cloud.colorOf(0) !== null ? cloud.codes[row] : 0;
    const sum = sums.get(code) ?? [0, 0, 0, 0, 0];
    sums.set(code, [sum[0] + 1, sum[1] + x0, sum[2] + y0, sum[3] + x1, sum[4] + y1]);
  }
  const least = LEAST_ARROW_SHARE * cloud.extent();
  return [...sums]
    .map(([code, [count, x0, y0, x1, y1]]) => {
      const here = [x0 / count, y0 / count];
      const there = [x1 / count, y1 / count];
      return { from: old ? there : here, to: old ? here : there, color: cloud.colorOf(code) };
    })
    .filter(({ from, to }) => Math.hypot(to[0] - from[0], to[1] - from[1]) > least);
}

function differing(before, after) {
  const moved = new Uint8Array(before.length / 2);
  for (let k = 0; k < moved.length; k += 1) {
    moved[k] = before[2 * k] !== after[2 * k] || before[2 * k + 1] !== after[2 * k + 1] ? 1 : 0;
  }
  return moved;
}
