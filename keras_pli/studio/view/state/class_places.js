/** Where the name of a category stands on a map. */

/**
 * The middle of each category: the median of its points along either axis, which no few far ones draw away.
 *
 * @param {Float32Array} xy x0 y0 x1 y1 …
 * @param {Uint16Array} codes Of each point.
 * @param {number} categories How many there are; higher codes belong to none.
 * @returns {Array<[number, number]|null>} Null for one without points.
 */
export function categoryPlaces(xy, codes, categories) {
  const rows = Array.from({ length: categories }, () => []);
  codes.forEach((code, row) => rows[code]?.push(row));
  return rows.map((some) => (
    some.length ? [0, 1].map((axis) => median(some.map((row) => xy[2 * row + axis]))) : null
  ));
}

function median(values) {
  const sorted = Float32Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
