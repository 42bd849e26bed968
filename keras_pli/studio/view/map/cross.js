// Pointing and drawing by keys.

import { finishLasso } from "./actions.js";
import { boxVertices } from "./polygon.js";

/**
 * A cross that does by keys what the pointer does.
 *
 * @param {object} map What `createScatter` gives gestures.
 */
export function createCross(map) {
  let at = null;
  let corners = [];
  const draws = () => ["lasso", "box"].includes(map.tool);
  const drawn = () => (map.tool === "box" ? boxVertices(corners[0], at) : [...corners, at]);

  /** What the next keys do. */
  function hint() {
    if (!at) return "";
    if (corners.length) return "Space sets a corner, Enter closes the shape, Escape gives it up";
    const picks = "Enter picks the point here, Escape ends";
    return draws() ? `Space begins a ${map.tool === "box" ? "box" : "lasso"}, ${picks}` : picks;
  }
  function show() {
    map.showCross(at);
    map.showLasso(at && corners.length ? { path: drawn(), subtract: false } : null);
    map.say(hint());
    return true;
  }
  function forgetCorners() {
    corners = [];
    return show();
  }
  function hide() {
    at = null;
    return forgetCorners();
  }
  return {
    shown: () => at !== null,
    at: () => at,
    toggle() {
      if (at) return hide();
      at = [map.camera.width / 2, map.camera.height / 2];
      return show();
    },
    move(dx, dy) {
      const { width, height } = map.camera;
      at = [Math.min(width, Math.max(0, at[0] + dx)), Math.min(height, Math.max(0, at[1] + dy))];
      show();
    },
    corner() {
      if (!at || !draws()) return false;
      corners.push(at);
      return show();
    },
    enter(add) {
      if (!at) return false;
      if (!corners.length) {
        map.pickAt(at, { add });
        return true;
      }
      const path = drawn();
      forgetCorners();
      finishLasso(map, path, { add, subtract: false });
      return true;
    },
    giveUp() {
      if (!at) return false;
      return corners.length ? forgetCorners() : hide();
    },
  };
}
