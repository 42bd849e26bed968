// Positions that glide from where they are to where they are sent.

/** Slow at both ends. */
export function easedShare(share) {
  return share < 0.5 ? 4 * share ** 3 : 1 - (2 - 2 * share) ** 3 / 2;
}

/**
 * Writes positions between two sets of them.
 * @param {Float32Array} out x0 y0 x1 y1 …
 * @param {Float32Array} from
 * @param {Float32Array} to
 * @param {number} share 0: from, 1: to.
 */
export function writeBetween(out, from, to, share) {
  if (share >= 1) {
    out.set(to);
    return;
  }
  for (let k = 0; k < out.length; k += 1) out[k] = from[k] + share * (to[k] - from[k]);
}

/** All positions, of which those at `rows` are replaced by the positions in `xy`. */
export function withRows(all, xy, rows) {
  if (!rows) return xy;
  const out = all.slice();
  for (let n = 0; n < rows.length; n += 1) {
    out[2 * rows[n]] = xy[2 * n];
    out[2 * rows[n] + 1] = xy[2 * n + 1];
  }
  return out;
}

/**
 * Calls `step(share)` once a frame, share from 0 to 1 eased, the last time with 1.
 * @param {number} milliseconds
 * @param {(share: number) => void} step
 * @returns {{stop: () => void, done: Promise<boolean>}} done: true where it ran to its end.
 */
export function startMotion(milliseconds, step) {
  let frame = 0;
  let settle;
  const done = new Promise((resolve) => { settle = resolve; });
  let start = null;
  function tick(now) {
    start ??= now;
    const share = milliseconds > 0 ? Math.min(1, (now - start) / milliseconds) : 1;
    step(share < 1 ? easedShare(share) : 1);
    if (share < 1) frame = requestAnimationFrame(tick);
    else settle(true);
  }
  frame = requestAnimationFrame(tick);
  return {
    stop() {
      cancelAnimationFrame(frame);
      settle(false);
    },
    done,
  };
}

/** Whether the person has asked for less motion. */
export function prefersStillness() {
  return globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;
}
