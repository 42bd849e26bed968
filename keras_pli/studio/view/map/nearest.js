// The point below the pointer: points sorted into the cells of a grid.

import { boundsOfPoints } from "./geometry.js";

const POINTS_A_CELL = 3;
const MOST_CELLS_A_SIDE = 1024;

/**
 * Sorts points into a grid.
 * @param {Float32Array} xy Positions; those that are NaN are never found.
 * @returns {{find: (x: number, y: number, radius: number, allowed?: Uint8Array|null) => number}} `find` gives the row
 *   of the nearest point within a radius (map units), the later one of two that are equally near, or -1.
 */
export function gridIndex(xy) {
  const count = xy.length / 2;
  const bounds = boundsOfPoints(xy);
  if (!bounds) return { find: () => -1 };
  const { left, bottom } = bounds;
  const across = Math.max(bounds.right - left, 1e-30);
  const up = Math.max(bounds.top - bottom, 1e-30);
  const cells = Math.max(1, count / POINTS_A_CELL);
  const side = (share) => Math.max(1, Math.min(MOST_CELLS_A_SIDE, Math.round(share)));
  const columns = side(Math.sqrt((cells * across) / up));
  const lines = side(Math.sqrt((cells * up) / across));
  const [perX, perY] = [columns / across, lines / up];
  const column = (x) => Math.min(columns - 1, Math.max(0, Math.floor((x - left) * perX)));
  const line = (y) => Math.min(lines - 1, Math.max(0, Math.floor((y - bottom) * perY)));

  const cellOf = new Int32Array(count);
  const starts = new Int32Array(columns * lines + 1);
  for (let k = 0; k < count; k += 1) {
    const x = xy[2 * k];
    const y = xy[2 * k + 1];
    const finite = x - x === 0 && y - y === 0;
    cellOf[k] = finite ? line(y) * columns + column(x) : -1;
    if (finite) starts[cellOf[k] + 1] += 1;
  }
  for (let cell = 0; cell < columns * lines; cell += 1) starts[cell + 1] += starts[cell];
  const next = starts.slice();
  const rows = new Int32Array(starts[columns * lines]);
  for (let k = 0; k < count; k += 1) {
    if (cellOf[k] >= 0) {
      rows[next[cellOf[k]]] = k;
      next[cellOf[k]] += 1;
    }
  }

  function find(x, y, radius, allowed = null) {
    let best = -1;
    let nearest = radius * radius;
    const [low, high] = [column(x - radius), column(x + radius)];
    for (let l = line(y - radius); l <= line(y + radius); l += 1) {
      for (let at = starts[l * columns + low]; at < starts[l * columns + high + 1]; at += 1) {
        const row = rows[at];
        if (allowed && !allowed[row]) continue;
        const dx = xy[2 * row] - x;
        const dy = xy[2 * row + 1] - y;
        const squared = dx * dx + dy * dy;
        if (squared < nearest || (squared === nearest && row > best)) {
          nearest = squared;
          best = row;
        }
      }
    }
    return best;
  }
  return { find };
}
