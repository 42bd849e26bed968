/** Numbers out of the bytes that the server sends, and masks over points. */

/**
 * The bytes of a buffer as numbers. They are read in place where they lie at a multiple of the number's size.
 *
 * @param {DataView} view
 * @param {Function} Kind A typed array's constructor, such as Float32Array.
 */
export function typedArray(view, Kind) {
  const size = Kind.BYTES_PER_ELEMENT;
  const length = Math.floor(view.byteLength / size);
  if (view.byteOffset % size === 0) return new Kind(view.buffer, view.byteOffset, length);
  const start = view.byteOffset;
  return new Kind(view.buffer.slice(start, start + length * size));
}

/**
 * A mask out of bits, the least significant of each byte first.
 *
 * @param {DataView} view
 * @param {number} points
 * @returns {Uint8Array} 1 where a point is selected.
 */
export function unpackedMask(view, points) {
  const mask = new Uint8Array(points);
  for (let i = 0; i < points; i += 1) mask[i] = (view.getUint8(i >> 3) >> (i & 7)) & 1;
  return mask;
}

/** How many points a mask selects. */
export function maskCount(mask) {
  let count = 0;
  for (let i = 0; i < mask.length; i += 1) count += mask[i];
  return count;
}

/** The selected points, in order. */
export function maskIndices(mask) {
  const indices = [];
  for (let i = 0; i < mask.length; i += 1) if (mask[i]) indices.push(i);
  return indices;
}

/** Some of a list, evenly from all over it; twice as many of them hold these too. */
export function spreadOver(list, most) {
  if (list.length <= most) return list;
  return Array.from({ length: most }, (_, i) => list[Math.floor((i * list.length) / most)]);
}

/** How often each code occurs. */
export function codeCounts(codes, kinds) {
  const counts = new Array(kinds).fill(0);
  for (const code of codes) if (code < kinds) counts[code] += 1;
  return counts;
}

/** A mask of the points listed. */
export function maskOf(indices, points) {
  const mask = new Uint8Array(points);
  for (const index of indices) if (index >= 0 && index < points) mask[index] = 1;
  return mask;
}

/** A mask of the points with one of some codes. */
export function maskOfCodes(codes, wanted) {
  const mask = new Uint8Array(codes.length);
  for (let i = 0; i < codes.length; i += 1) mask[i] = wanted.has(codes[i]) ? 1 : 0;
  return mask;
}

/**
 * Two masks as one.
 *
 * @param {Uint8Array|null} first
 * @param {Uint8Array} second
 * @param {"replace"|"add"|"subtract"} how
 */
export function combinedMask(first, second, how) {
  if (how === "replace" || !first) return how === "subtract" ? new Uint8Array(second.length) : second;
  const mask = new Uint8Array(second.length);
  for (let i = 0; i < mask.length; i += 1) {
    mask[i] = how === "add" ? first[i] | second[i] : first[i] & (second[i] ^ 1);
  }
  return mask;
}

/**
 * The mean place of the points selected.
 *
 * @param {Float32Array} xy
 * @param {Uint8Array} mask
 * @returns {[number, number]|null} In units of the map; null where none is.
 */
export function maskCentre(xy, mask) {
  let x = 0;
  let y = 0;
  let count = 0;
  for (let i = 0; i < mask.length; i += 1) {
    if (!mask[i]) continue;
    x += xy[2 * i];
    y += xy[2 * i + 1];
    count += 1;
  }
  return count ? [x / count, y / count] : null;
}

/** Points of which those in `rows` have gone elsewhere. */
export function withRowsAt(xy, rows, positions) {
  const whole = Float32Array.from(xy);
  for (let k = 0; k < rows.length; k += 1) {
    whole[2 * rows[k]] = positions[2 * k];
    whole[2 * rows[k] + 1] = positions[2 * k + 1];
  }
  return whole;
}

/** Which points lie elsewhere on two maps. */
export function movedMask(before, after) {
  const mask = new Uint8Array(before.length / 2);
  for (let i = 0; i < mask.length; i += 1) {
    mask[i] = before[2 * i] !== after[2 * i] || before[2 * i + 1] !== after[2 * i + 1] ? 1 : 0;
  }
  return mask;
}

/** The larger side of the box around points, in units of the map. */
export function widestSpan(xy) {
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (let i = 0; i < xy.length; i += 1) {
    low[i % 2] = Math.min(low[i % 2], xy[i]);
    high[i % 2] = Math.max(high[i % 2], xy[i]);
  }
  return Math.max(high[0] - low[0], high[1] - low[1], 0);
}
