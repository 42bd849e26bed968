// The keyboard on the map: every gesture has keys. None of them deletes a point.

import { finishLasso } from "./actions.js";
import { scaleAffine, separateAffines, shiftAffine, turnAffine } from "./geometry.js";
import { changeWords } from "./hands.js";
import { boxVertices } from "./polygon.js";

const PAN_STEP = 48; // CSS pixels
const ZOOM_STEP = 1.25;
const CURSOR_STEP = 8;
const MOVE_STEP = 8; // CSS pixels that a selection is moved by one press
const SIZE_STEP = 1.05;
const TURN_STEP = 5; // degrees
const FARTHER = 5; // with Shift
const UNCHANGED = {
  drag: { by: [0, 0] }, scale: { factor: 1 }, rotate: { degrees: 0 }, separate: { distance: null },
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** What the keys do, for a list of shortcuts. */
export const MAP_KEYS = Object.freeze([
  ["Arrows", "pan the map (with the mouse: Space, or the middle button, and drag)"],
  ["+ −", "zoom"],
  ["0", "fit the map"],
  ["Alt + arrows", "move the selection (or part two), Enter keeps it"],
  ["[ ]", "contract, expand the selection"],
  [", .", "turn the selection"],
  ["C", "a cross that arrows move: Enter picks a point, Space sets a corner of a lasso or box, Enter closes it"],
  ["Escape", "give up what is under way"],
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
    if (event.ctrlKey || event.metaKey || event.isComposing) return;
    if (pressed(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  });
  root.addEventListener("keyup", (event) => {
    if (event.key !== "Alt" || !nudge.active()) return;
    event.preventDefault(); // of a browser's menu
    nudge.keep();
  });
  root.addEventListener("focusout", (event) => {
    if (!root.contains(event.relatedTarget)) nudge.keep();
  });

  function pressed(event) {
    const { key, shiftKey, altKey } = event;
    const handle = event.target.dataset?.mapHandle !== undefined ? event.target : null;
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

/** A change of the selection made press by press, kept with Enter, given up with Escape. */
function createNudge(map) {
  let kind = null;
  let way = [0, 0];
  let steps = 0;
  const active = () => kind !== null;

  function start(next) {
    if (!map.selected.rows.length) return false;
    if (kind !== next) {
      keep();
      kind = next;
      way = [0, 0];
      steps = 0;
    }
    return true;
  }
  /** The event's name, what it says, and what it does to each group. */
  function change() {
    const { centre, groups } = map.selected;
    if (kind === "drag") return ["drag", { by: way }, [shiftAffine(way)]];
    if (kind === "scale") return ["scale", { factor: SIZE_STEP ** steps }, [scaleAffine(SIZE_STEP ** steps, centre)]];
    if (kind === "rotate") return ["rotate", { degrees: TURN_STEP * steps }, [turnAffine(TURN_STEP * steps, centre)]];
    const [first, second] = groups.map((group) => group.centre);
    const distance = Math.hypot(second[0] - first[0], second[1] - first[1]) * SIZE_STEP ** steps;
    return ["separate", { distance }, separateAffines(first, second, distance) ?? []];
  }
  function show() {
    const [name, what, affines] = change();
    map.carry(name, what, affines);
    map.say(`${changeWords(name, what)} · Enter keeps it, Escape gives it up`);
    return true;
  }
  function keep() {
    if (!active()) return false;
    const last = change();
    kind = null;
    map.drop(...last);
    map.say("");
    return true;
  }
  function giveUp() {
    if (!active()) return false;
    const [name] = change();
    kind = null;
    map.putBack(name, UNCHANGED[name]);
    map.say("");
    return true;
  }
  function step(next, by) {
    if (!start(next)) return false;
    steps += by;
    return show();
  }
  return {
    active,
    keep,
    giveUp,
    scale: (by) => step("scale", by),
    turn: (by) => step("rotate", by),
    arrow(dx, dy) {
      if (map.tool === "separate" && map.selected.groups.length === 2) return step("separate", dx - dy);
      if (!start("drag")) return false;
      way = [way[0] + (dx * MOVE_STEP) / map.camera.scale, way[1] - (dy * MOVE_STEP) / map.camera.scale];
      return show();
    },
    onHandle(handle, by) {
      const { size, turn } = map.handles;
      return step(handle === size ? "scale" : handle === turn ? "rotate" : "separate", by);
    },
  };
}

/** A cross that does by keys what the pointer does. */
function createCross(map) {
  let at = null;
  let corners = [];

  function show() {
    map.showCross(at);
    if (!at) map.showLasso(null);
    else if (corners.length) map.showLasso({ path: drawn(), subtract: false });
    return true;
  }
  const drawn = () => (map.tool === "box" ? boxVertices(corners[0], at) : [...corners, at]);
  function hide() {
    at = null;
    corners = [];
    map.say("");
    return show();
  }
  return {
    shown: () => at !== null,
    at: () => at,
    toggle() {
      if (at) return hide();
      at = [map.camera.width / 2, map.camera.height / 2];
      const drawing = ["lasso", "box"].includes(map.tool);
      map.say(drawing ? "Space sets a corner, Enter closes, Escape ends" : "Enter picks the point, Escape ends");
      return show();
    },
    move(dx, dy) {
      const { width, height } = map.camera;
      at = [Math.min(width, Math.max(0, at[0] + dx)), Math.min(height, Math.max(0, at[1] + dy))];
      show();
    },
    corner() {
      if (!at || !["lasso", "box"].includes(map.tool)) return false;
      corners.push(at);
      return show();
    },
    enter(add) {
      if (!at) return false;
      if (!corners.length) {
        map.click(at, { add });
        return true;
      }
      const path = drawn();
      corners = [];
      map.showLasso(null);
      finishLasso(map, path, { add, subtract: false });
      return true;
    },
    giveUp() {
      if (!at) return false;
      if (!corners.length) return hide();
      corners = [];
      map.showLasso(null);
      return true;
    },
  };
}
