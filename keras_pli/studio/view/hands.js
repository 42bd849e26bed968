// What gestures and keys do to a map, and what the page hears of it.

import { boxAction, dragAction, lassoAction, panAction } from "./actions.js";
import { mapPoint, pannedCamera, pointDiameter, zoomedCamera } from "./camera.js";
import { pointsInPolygon } from "./polygon.js";

const HOVER_REACH = 10; // CSS pixels from a point at which it is meant
const TOUCH_REACH = 18;
const GRAB_REACH = 14;
const CARRYING_TOOLS = Object.freeze(["move", "rotate_scale"]);

/**
 * @param {object} stage From `createStage`.
 * @param {{emit: Function}} events
 * @param {{say: (text: string) => void, wheel: "always"|"focus"}} options
 */
export function createHands(stage, events, { say, wheel }) {
  const { root, cloud, view } = stage;
  let hovered = -1;

  function nearestTo(at, reach, selectedOnly = false) {
    return cloud.nearest(...mapPoint(view.camera, at), reach / view.camera.scale, selectedOnly);
  }
  function canCarry(at) {
    const carrying = CARRYING_TOOLS.includes(stage.tool) && cloud.selected.rows.length > 0;
    return carrying && nearestTo(at, GRAB_REACH, true) >= 0;
  }
  function setCursor(carries = false) {
    root.style.cursor = carries ? "move" : ({ pan: "grab", lasso: "crosshair", box: "crosshair" }[stage.tool] ?? "default");
  }
  function showHovered(row) {
    const at = row >= 0 ? [cloud.xy[2 * row], cloud.xy[2 * row + 1]] : null;
    const radius = pointDiameter(view.camera, view.fitScale, cloud.count) / 2 + 4;
    view.hovered = at && { at, radius };
    stage.redraw("overlay");
  }
  /** Carried groups are shown where their affines take them, until the page sets positions. */
  function carry(name, what, affines, { done = false, cancelled = false } = {}) {
    view.carried = affines;
    stage.redraw("top", "overlay");
    events.emit(name, { ...what, done, cancelled });
  }

  const hands = {
    get camera() { return view.camera; },
    get selected() { return cloud.selected; },
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
      view.hint = text;
      say(text);
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
      if (how.middle) return panAction(hands, at);
      if (stage.tool === "lasso") return lassoAction(hands, at, how);
      if (stage.tool === "box") return boxAction(hands, at, how);
      return canCarry(at) ? dragAction(hands, at) : panAction(hands, at);
    },
    click(at, { add, touch }) {
      const row = nearestTo(at, touch ? TOUCH_REACH : HOVER_REACH);
      events.emit("click", { index: row < 0 ? null : row, add });
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
    drop: (name, what, affines) => carry(name, what, affines, { done: true }),
    putBack: (name, what) => carry(name, what, [], { cancelled: true }),
  };
  return hands;
}
