// The keyboard on the map: every gesture has keys. None of them deletes a point.

import { createCross } from "./cross.js";
import { createNudge } from "./nudge.js";

const PAN_STEP = 48; // CSS pixels
const ZOOM_STEP = 1.25;
const CURSOR_STEP = 8;
const FARTHER = 5; // with Shift
const NUDGING = new Set(["[", "]", ",", ".", "Enter", "Escape", "Alt", "Shift", "Control", "Meta"]);
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** What the keys do, for a list of shortcuts. */
export const MAP_KEYS = Object.freeze([
  ["Arrows", "pan the map (with the mouse: Space, or the middle button, and drag)"],
  ["+ −", "zoom"],
  ["0", "fit the map"],
  ["Alt + arrows", "move the selection (or part two): one step until Enter, another key or a pause keeps it"],
  ["[ ]", "contract, expand the selection"],
  [", .", "turn the selection"],
  ["C", "a cross that arrows move: Enter picks a point, Space sets a corner of a lasso or box, Enter closes it"],
  ["Escape", "give up what is under way, such as a step that is not kept yet"],
]);

/**
 * @param {HTMLElement} root
 * @param {object} map What `createScatter` gives gestures.
 * @returns {{cancel: () => boolean}}
 */
export function attachMapKeys(root, map) {
  const nudge = createNudge(map);
  const cross = createCross(map);
  root.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (endsNudge(event)) nudge.keep();
    if (!event.ctrlKey && !event.metaKey && pressed(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  });
  root.addEventListener("keyup", (event) => {
    if (event.key === "Alt" && nudge.active()) event.preventDefault(); // of a browser's menu
  });
  root.addEventListener("pointerdown", () => nudge.keep());
  root.addEventListener("focusout", (event) => {
    if (!root.contains(event.relatedTarget)) nudge.keep();
  });

  function pressed(event) {
    const { key, shiftKey, altKey } = event;
    const handle = handleOf(event);
    if (ARROWS[key]) {
      const [dx, dy] = ARROWS[key].map((part) => part * (shiftKey ? FARTHER : 1));
      if (handle) return nudge.onHandle(handle, dx - dy);
      if (altKey) return nudge.arrow(dx, dy);
      if (cross.shown()) cross.move(dx * CURSOR_STEP, dy * CURSOR_STEP);
      else map.pan([-dx * PAN_STEP, -dy * PAN_STEP]);
      return true;
    }
    if (altKey) return false;
    const { width, height } = map.camera;
    const middle = cross.at() ?? [width / 2, height / 2];
    const actions = {
      "+": () => map.zoom(ZOOM_STEP, middle),
      "=": () => map.zoom(ZOOM_STEP, middle),
      "-": () => map.zoom(1 / ZOOM_STEP, middle),
      0: () => map.fit(),
      "[": () => nudge.scale(-1),
      "]": () => nudge.scale(1),
      ",": () => nudge.turn(1),
      ".": () => nudge.turn(-1),
      c: () => cross.toggle(),
      C: () => cross.toggle(),
      " ": () => cross.corner(),
      Enter: () => nudge.keep() || cross.enter(shiftKey),
      Escape: () => map.cancelGesture() || nudge.giveUp() || cross.giveUp(),
    };
    return Object.hasOwn(actions, key) ? actions[key]() !== false : false;
  }
  return { cancel: () => nudge.giveUp() || cross.giveUp() };
}

/** Whether a key is none of those that go on with a change of the selection. */
function endsNudge(event) {
  if (ARROWS[event.key]) return !event.altKey && !handleOf(event);
  return !NUDGING.has(event.key);
}

function handleOf({ target }) {
  return target.dataset?.mapHandle !== undefined ? target : null;
}
