// Where words go on the map, so that none lie on others.

const LABEL_HEIGHT = 22;
/** Lines up or down from where words would stand, the nearest first. */
export const LABEL_STEPS = Object.freeze([0, 1, -1, 2, -2, 3, -3]);

/**
 * Whether words cover no others.
 *
 * @param {{at: number[], width: number}} box Their middle and width, CSS pixels.
 * @param {{at: number[], width: number}[]} taken
 */
export function isFreePlace({ at: [x, y], width }, taken) {
  return taken.every(
    ({ at: [otherX, otherY], width: otherWidth }) =>
      Math.abs(otherX - x) >= (width + otherWidth) / 2 || Math.abs(otherY - y) >= LABEL_HEIGHT - 1,
  );
}

/**
 * Places the names of clusters.
 *
 * @param {{at: number[], width: number}[]} wanted Middle of each label and its width, CSS pixels; the first ones
 *   have the first choice.
 * @param {number} width Of the canvas; labels whose place is outside are left out, others are kept within.
 * @param {number} height
 * @param {{at: number[], width: number}[]} [taken] Places that stay free.
 * @returns {object[]} The labels with the places found for them; those without any room are left out.
 */
export function placedLabels(wanted, width, height, taken = []) {
  const placed = [];
  for (const label of wanted) {
    const [x, y] = label.at;
    if (x < 0 || y < 0 || x > width || y > height) continue;
    const half = label.width / 2 + 2;
    const across = Math.min(Math.max(x, half), Math.max(half, width - half));
    for (const lines of LABEL_STEPS) {
      const down = Math.min(Math.max(y + lines * LABEL_HEIGHT, 12), height - 12);
      if (!isFreePlace({ at: [across, down], width: label.width + 4 }, [...taken, ...placed])) continue;
      placed.push({ ...label, at: [across, down] });
      break;
    }
  }
  return placed;
}
