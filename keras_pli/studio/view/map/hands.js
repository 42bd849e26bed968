// What gestures and keys do to a map, and what the page hears of it.

import { boxAction, dragAction, lassoAction, panAction } from "./actions.js";
import { mapPoint, pannedCamera, zoomedCamera } from "./camera.js";
import { composeAffines, IDENTITY_AFFINE, inverseAffine, movedPoint } from "./geometry.js";
import { pointsInPolygon } from "./polygon.js";

const HOVER_REACH = 10; // CSS pixels from a point at which it is meant
const TOUCH_REACH = 18;
const GRAB_REACH = 14;
const CARRYING_TOOLS = Object.freeze(["move", "rotate_scale"]);

/** What a gesture does, in a few words. */
export function changeWords(name, { by, factor, degrees, distance }) {
  if (name === "drag") return `moved by ${by[0].toPrecision(3)}, ${by[1].toPrecision(3)}`;
  if (name === "scale") return `${Math.round(100 * factor)} % of its size`;
  if (name === "rotate") {
    const size = Number(Math.abs(degrees).toPrecision(3));
    return `rotated by ${size} degrees ${degrees < 0 ? "clockwise" : "counter-clockwise"}`;
  }
  return `distance ${distance.toPrecision(3)}`;
}

/**
 * @param {object} stage From `createStage`.
 * @param {{emit: Function}} events
 * @param {{say: (text: string) => void, wheel: "always"|"focus"}} options
 */
export function createHands(stage, events, { say, wheel }) {
  const { root, cloud, view } = stage;
  let hovered = -1;

  function nearestTo(at, reach) {
    return cloud.nearest(...mapPoint(view.camera, at), reach / view.camera.scale);
  }
  function canCarry(at) {
    if (!CARRYING_TOOLS.includes(stage.tool) || !cloud.selected.rows.length) return false;
    // What was dropped is seen elsewhere than the positions say.
    const place = movedPoint(inverseAffine(heldBy(0)), mapPoint(view.camera, at));
    return cloud.nearest(...place, GRAB_REACH / view.camera.scale, true) >= 0;
  }
  function setCursor(carries = false) {
    const ofTool = { pan: "grab", lasso: "crosshair", box: "crosshair" }[stage.tool] ?? "default";
    root.style.cursor = carries ? "move" : ofTool;
  }
  function showHovered(row) {
    view.hovered = row;
    stage.redraw("overlay");
  }
  /** Shows each group of the selection where an affine takes it from where it was dropped before. */
  function carry(name, what, affines, { done = false, cancelled = false } = {}) {
    const { groups } = cloud.selected;
    const taken = (k) => affines[k] ?? affines[0] ?? IDENTITY_AFFINE;
    view.carried = cancelled ? stage.held : groups.map((_, k) => composeAffines(taken(k), heldBy(k)));
    if (done) stage.held = view.carried;
    view.hint = done || cancelled ? "" : changeWords(name, what);
    stage.handles.tell(name, what, view.hint);
    stage.redraw("top", "overlay");
    events.emit(name, { ...what, done, cancelled });
  }
  const heldBy = (group) => stage.held[group] ?? IDENTITY_AFFINE;
  /** The selection as it is seen: where it was dropped, though the page has not set positions yet. */
  function seenSelection() {
    const { selected } = cloud;
    if (!stage.held.length || !selected.centre) return selected;
    return {
      ...selected,
      centre: movedPoint(heldBy(0), selected.centre),
      groups: selected.groups.map((group, k) => ({ ...group, centre: movedPoint(heldBy(k), group.centre) })),
    };
  }

  const hands = {
    get camera() { return view.camera; },
    get selected() { return seenSelection(); },
    get tool() { return stage.tool; },
    get handles() { return stage.handles.elements; },
    cancelGesture: () => false, // replaced where there are gestures
    setCursor,
    showHovered,
    pan: (by) => stage.look(pannedCamera(view.camera, by)),
    zoom: (factor, at) => stage.look(zoomedCamera(view.camera, factor, at, view.fitScale)),
    fit: stage.fit,
    wheelAllowed: () => wheel === "always" || root.contains(document.activeElement),
    setGrabbing(grabbing) {
      if (grabbing) root.style.cursor = "grabbing";
      else setCursor();
    },
    say(text) {
      if (view.hint !== text) say(text);
      view.hint = text;
      stage.redraw("overlay");
    },
    hover(at) {
      const row = at && !stage.moving ? nearestTo(at, HOVER_REACH) : -1;
      setCursor(at && !stage.moving && canCarry(at));
      if (row === hovered && row < 0) return;
      if (row !== hovered) showHovered(row);
      hovered = row;
      events.emit("hover", { index: row < 0 ? null : row, at });
    },
    begin(at, how) {
      hands.hover(null);
      if (how.pan) return panAction(hands, at);
      if (stage.tool === "lasso") return lassoAction(hands, at, how);
      if (stage.tool === "box") return boxAction(hands, at, how);
      return canCarry(at) ? dragAction(hands, at) : panAction(hands, at);
    },
    click(at, { add, touch }) {
      const row = nearestTo(at, touch ? TOUCH_REACH : HOVER_REACH);
      events.emit("click", { index: row < 0 ? null : row, add });
    },
    /** A click by keys: where no point is, it clears no selection. */
    pickAt(at, { add }) {
      if (nearestTo(at, HOVER_REACH) < 0) hands.say("No point is here");
      else hands.click(at, { add });
    },
    select(polygon, { add, subtract }) {
      const guess = pointsInPolygon(cloud.xy, polygon, { extent: cloud.extent() });
      events.emit("select", { polygon, add: add && !subtract, subtract, guess });
    },
    showLasso(lasso) {
      view.lasso = lasso;
      stage.redraw("overlay");
    },
    showCross(at) {
      view.cursor = at;
      hands.hover(at);
      stage.redraw("overlay");
    },
    carry,
    drop(name, what, affines) {
      const nothing = affines.every((affine) => affine.every((part, k) => part === IDENTITY_AFFINE[k]));
      carry(name, what, affines, nothing ? { cancelled: true } : { done: true });
    },
    putBack: (name, what) => carry(name, what, [], { cancelled: true }),
  };
  return hands;
}
