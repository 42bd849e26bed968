// Handles to take hold of: corners that contract and expand a selection, a knob that turns it, and the two ends
// of the line along which selections part.

import { scaleAffine, separateAffines, turnAffine } from "./geometry.js";
import { mapPoint, screenPoint } from "./camera.js";
import { placeWithin } from "./gestures.js";

const HANDLE_SIZE = 12; // CSS pixels seen
const HANDLE_REACH = 32; // CSS pixels that answer, enough for a finger
const KNOB_AWAY = 30;
const SNAP_DEGREES = 15;
const VIEW_MARGIN = 12;
const FRAME_MARGIN = 8;
const LEAST_FRAME = 44;
const GRIP_SLOP = 2; // CSS pixels that a press may move without changing anything

/**
 * @param {HTMLElement} root
 * @param {object} map What `createScatter` gives gestures: camera, selected, carry, drop, putBack.
 * @returns {{place: Function, cancel: () => boolean, setTheme: Function, tell: Function, elements: object}}
 */
export function createHandles(root, map) {
  let grip = null; // {start, pulled, pull, putBack} while a handle is held
  const corners = [0, 1, 2, 3].map((k) => handleIn(root, k === 1 ? "Size of the selection" : null, "nwse-resize"));
  const knob = handleIn(root, "Turn of the selection", "grab", true);
  const ends = [0, 1].map((k) => handleIn(root, k ? "Distance of the two selections" : null, "move", true));
  corners.forEach((handle, k) => {
    if (k % 2) handle.style.cursor = "nesw-resize";
    hold(handle, (start) => scaleGrip(map, start));
  });
  hold(knob, (start) => turnGrip(map, start));
  ends.forEach((handle, side) => hold(handle, () => separateGrip(map, side)));

  function hold(handle, gripOf) {
    handle.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      event.preventDefault();
      root.focus({ preventScroll: true });
      handle.setPointerCapture?.(event.pointerId);
      const start = placeWithin(root, event);
      grip = { ...gripOf(start), start, pulled: false };
    });
    handle.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const at = placeWithin(root, event);
      grip.pulled ||= Math.hypot(at[0] - grip.start[0], at[1] - grip.start[1]) > GRIP_SLOP;
      if (grip.pulled) grip.pull(at, { snap: event.shiftKey }, map.carry);
    });
    handle.addEventListener("pointerup", (event) => {
      const held = grip;
      grip = null;
      if (held?.pulled) held.pull(placeWithin(root, event), { snap: event.shiftKey }, map.drop);
    });
    handle.addEventListener("pointercancel", () => { cancel(); });
  }

  function cancel() {
    if (!grip) return false;
    const held = grip;
    grip = null;
    if (held.pulled) held.putBack();
    return true;
  }

  /**
   * Shows the handles that a tool has.
   * @param {{corners: number[][], knob: number[], stem: number[]}|null} frame From `selectionFrame`.
   * @param {{from: number[], to: number[]}|null} rule From `selectionRule`.
   */
  function place(frame, rule) {
    corners.forEach((handle, k) => putHandle(handle, frame?.corners[k], map.camera));
    putHandle(knob, frame?.knob, map.camera);
    putHandle(ends[0], rule?.from, map.camera);
    putHandle(ends[1], rule?.to, map.camera);
  }

  /** Tells those who do not see it what a gesture does. */
  function tell(name, { factor, degrees, distance }, words) {
    const values = { scale: [corners[1], 100 * factor], rotate: [knob, degrees], separate: [ends[1], distance] };
    if (!values[name] || !words) return;
    const [handle, value] = values[name];
    handle.setAttribute("aria-valuenow", String(Math.round(value)));
    handle.setAttribute("aria-valuetext", words);
  }

  function setTheme(theme) {
    for (const handle of [...corners, knob, ...ends]) {
      const dot = handle.firstChild;
      dot.style.background = theme.background;
      dot.style.borderColor = theme.accent;
    }
  }
  return { place, cancel, setTheme, tell, elements: { size: corners[1], turn: knob, distance: ends[1] } };
}

/** The box around a selection as it is carried, on the screen, and where its knob is. */
export function selectionFrame(camera, bounds, affine, movedBy) {
  const { left, bottom, right, top } = bounds;
  // Never so small that its corners cannot be told apart.
  const margin = (span) => Math.max(FRAME_MARGIN, (LEAST_FRAME - span * camera.scale) / 2) / camera.scale;
  const [across, up] = [margin(right - left), margin(top - bottom)];
  const corners = [
    [left - across, top + up], [right + across, top + up], [right + across, bottom - up], [left - across, bottom - up],
  ].map((corner) => screenPoint(camera, movedBy(affine, corner)));
  const stem = [(corners[0][0] + corners[1][0]) / 2, (corners[0][1] + corners[1][1]) / 2];
  const [dx, dy] = [corners[1][0] - corners[0][0], corners[1][1] - corners[0][1]];
  const length = Math.hypot(dx, dy) || 1;
  const knob = [stem[0] + (KNOB_AWAY * dy) / length, stem[1] - (KNOB_AWAY * dx) / length];
  return { corners, stem, knob };
}

/** The line between the centres of two groups as they are carried, on the screen, and its length. */
export function selectionRule(camera, groups, carried, movedBy) {
  const [from, to] = groups.map(({ centre }, k) => (carried[k] ? movedBy(carried[k], centre) : centre));
  const distance = Math.hypot(to[0] - from[0], to[1] - from[1]);
  return { from: screenPoint(camera, from), to: screenPoint(camera, to), distance, text: distance.toPrecision(3) };
}

/** The remaining size of a selection whose corner is pulled from one place to another. */
export function pulledFactor(centre, start, at) {
  const before = Math.hypot(start[0] - centre[0], start[1] - centre[1]);
  return before > 0 ? Math.hypot(at[0] - centre[0], at[1] - centre[1]) / before : 1;
}

/** The angle from one place to another about a centre, counter-clockwise as seen, in (-180, 180]. */
export function pulledDegrees(centre, start, at) {
  const angle = ([x, y]) => Math.atan2(centre[1] - y, x - centre[0]);
  const turn = ((angle(at) - angle(start)) * 180) / Math.PI;
  const within = turn - 360 * Math.round(turn / 360);
  return within === -180 ? 180 : within;
}

function scaleGrip(map, start) {
  const { centre } = map.selected;
  const middle = screenPoint(map.camera, centre);
  return {
    pull(at, how, tell) {
      const factor = pulledFactor(middle, start, at);
      tell("scale", { factor }, [scaleAffine(factor, centre)]);
    },
    putBack: () => map.putBack("scale", { factor: 1 }),
  };
}

function turnGrip(map, start) {
  const { centre } = map.selected;
  const middle = screenPoint(map.camera, centre);
  return {
    pull(at, { snap }, tell) {
      const free = pulledDegrees(middle, start, at);
      const degrees = snap ? SNAP_DEGREES * Math.round(free / SNAP_DEGREES) : free;
      tell("rotate", { degrees }, [turnAffine(degrees, centre)]);
    },
    putBack: () => map.putBack("rotate", { degrees: 0 }),
  };
}

function separateGrip(map, side) {
  const [first, second] = map.selected.groups.map(({ centre }) => centre);
  const middle = [(first[0] + second[0]) / 2, (first[1] + second[1]) / 2];
  const present = Math.hypot(second[0] - first[0], second[1] - first[1]);
  const toward = side ? 1 : -1;
  const along = [(toward * (second[0] - first[0])) / present, (toward * (second[1] - first[1])) / present];
  return {
    pull(at, how, tell) {
      const [x, y] = mapPoint(map.camera, at);
      const half = (x - middle[0]) * along[0] + (y - middle[1]) * along[1];
      const distance = Math.max(2 * half, present * 1e-3);
      tell("separate", { distance }, separateAffines(first, second, distance) ?? []);
    },
    putBack: () => map.putBack("separate", { distance: null }),
  };
}

function handleIn(root, label, cursor, round = false) {
  const handle = document.createElement("div");
  handle.dataset.mapHandle = "";
  Object.assign(handle.style, {
    position: "absolute", left: "0", top: "0", width: `${HANDLE_REACH}px`, height: `${HANDLE_REACH}px`,
    margin: `${-HANDLE_REACH / 2}px 0 0 ${-HANDLE_REACH / 2}px`, display: "none", placeItems: "center",
    cursor, touchAction: "none", borderRadius: "50%",
  });
  const dot = document.createElement("div");
  Object.assign(dot.style, {
    width: `${HANDLE_SIZE}px`, height: `${HANDLE_SIZE}px`, boxSizing: "border-box", borderWidth: "2px",
    borderStyle: "solid", borderRadius: round ? "50%" : "3px", boxShadow: "0 1px 3px rgba(0, 0, 0, .35)",
  });
  handle.append(dot);
  if (label) {
    handle.tabIndex = 0;
    for (const [name, value] of Object.entries({ role: "slider", "aria-label": label, "aria-valuenow": "0" })) {
      handle.setAttribute(name, value);
    }
  } else {
    handle.setAttribute("aria-hidden", "true");
  }
  root.append(handle);
  return handle;
}

/** Handles of a selection larger than the view stay within it, so that they can be reached. */
function putHandle(handle, at, { width, height }) {
  handle.style.display = at ? "grid" : "none";
  if (!at) return;
  const x = Math.min(Math.max(at[0], VIEW_MARGIN), width - VIEW_MARGIN);
  const y = Math.min(Math.max(at[1], VIEW_MARGIN), height - VIEW_MARGIN);
  handle.style.transform = `translate(${x}px, ${y}px)`;
}
