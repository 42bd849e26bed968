// What a drag on the map does: pan, draw a lasso or a box, carry the selection.

import { mapPoint } from "./camera.js";
import { shiftAffine } from "./geometry.js";
import { boxVertices, thinnedPath } from "./polygon.js";

const LASSO_STEP = 2; // CSS pixels between two corners
const LASSO_TOLERANCE = 0.75; // CSS pixels that a corner left out may lie off the line
const LEAST_LASSO = 6; // CSS pixels across; smaller ones are slips

/** Moves the view with the pointer. */
export function panAction(map, start) {
  let last = start;
  map.setGrabbing(true);
  return {
    move(at) {
      map.pan([at[0] - last[0], at[1] - last[1]]);
      last = at;
    },
    end: () => map.setGrabbing(false),
    cancel: () => map.setGrabbing(false),
  };
}

/** Draws a free line around points and tells which polygon it is. */
export function lassoAction(map, start, how) {
  const path = [start];
  const show = (now) => map.showLasso({ path, subtract: now.subtract });
  show(how);
  return {
    fine: true,
    move(at, now) {
      const [x, y] = path[path.length - 1];
      if (Math.hypot(at[0] - x, at[1] - y) >= LASSO_STEP) path.push(at);
      show(now);
    },
    end(at, now) {
      map.showLasso(null);
      finishLasso(map, thinnedPath(path, LASSO_TOLERANCE), now);
    },
    cancel: () => map.showLasso(null),
  };
}

/** Draws a box. */
export function boxAction(map, start, how) {
  map.showLasso({ path: [start], subtract: how.subtract });
  return {
    move: (at, now) => map.showLasso({ path: boxVertices(start, at), subtract: now.subtract }),
    end(at, now) {
      map.showLasso(null);
      finishLasso(map, boxVertices(start, at), now);
    },
    cancel: () => map.showLasso(null),
  };
}

/** Tells which polygon was drawn, given in CSS pixels; too small ones are forgotten. */
export function finishLasso(map, path, how) {
  const [xs, ys] = [path.map(([x]) => x), path.map(([, y]) => y)];
  const across = Math.max(...xs) - Math.min(...xs);
  const down = Math.max(...ys) - Math.min(...ys);
  if (path.length < 3 || Math.max(across, down) < LEAST_LASSO || Math.min(across, down) === 0) return;
  map.select(path.map((at) => mapPoint(map.camera, at)), how);
}

/** Carries the selection. */
export function dragAction(map, start) {
  const by = (at, { snap }) => {
    const [x0, y0] = mapPoint(map.camera, start);
    const [x1, y1] = mapPoint(map.camera, at);
    const way = [x1 - x0, y1 - y0];
    // With Shift along one axis only.
    if (snap) way[Math.abs(way[0]) < Math.abs(way[1]) ? 0 : 1] = 0;
    return way;
  };
  map.setGrabbing(true);
  return {
    move: (at, how) => map.carry("drag", { by: by(at, how) }, [shiftAffine(by(at, how))]),
    end(at, how) {
      map.setGrabbing(false);
      map.drop("drag", { by: by(at, how) }, [shiftAffine(by(at, how))]);
    },
    cancel() {
      map.setGrabbing(false);
      map.putBack("drag", { by: [0, 0] });
    },
  };
}
