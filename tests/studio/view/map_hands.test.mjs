import assert from "node:assert/strict";
import test from "node:test";

import { boxAction, dragAction, lassoAction } from "../../../keras_pli/studio/view/map/actions.js";
import { changeWords } from "../../../keras_pli/studio/view/map/hands.js";
import { attachGestures } from "../../../keras_pli/studio/view/map/gestures.js";
import { attachMapKeys } from "../../../keras_pli/studio/view/map/map_keys.js";

const CAMERA = { x: 0, y: 0, scale: 10, width: 200, height: 100 };
const PLAIN = { add: false, subtract: false, snap: false };

/** An element as far as listeners see it. */
function rootOf() {
  const root = new EventTarget();
  Object.assign(root, { clientLeft: 0, clientTop: 0, contains: () => false, getBoundingClientRect: () => ({ left: 0, top: 0 }) });
  return root;
}

/** A map that writes down what is done to it. */
function mapOf({ tool = "lasso", groups = [{ centre: [0, 0] }] } = {}) {
  const told = [];
  const note = (name) => (...given) => { told.push([name, ...given]); };
  const selected = { rows: [1, 2], centre: [0, 0], groups };
  const names = ["carry", "drop", "putBack", "select", "showLasso", "showCross", "setGrabbing", "pan", "zoom", "fit", "say", "click", "hover", "pickAt"];
  const map = { camera: CAMERA, tool, selected, told, cancelGesture: () => false, wheelAllowed: () => true };
  for (const name of names) map[name] = note(name);
  return map;
}

const named = (map, name) => map.told.filter(([own]) => own === name);

function pressed(root, key, more = {}) {
  const event = Object.assign(new Event("keydown", { cancelable: true }), { key, ...more });
  root.dispatchEvent(event);
  return event.defaultPrevented;
}

function pointer(root, type, [clientX, clientY], more = {}) {
  const event = new Event(type, { cancelable: true });
  root.dispatchEvent(Object.assign(event, { clientX, clientY, pointerId: 1, button: 0, buttons: 1, pointerType: "mouse", ...more }));
}

test("a drag is told in map units, y upwards, and along one axis with Shift", () => {
  const map = mapOf();
  const drag = dragAction(map, [100, 50]);
  drag.move([120, 40], PLAIN);
  drag.end([120, 40], { ...PLAIN, snap: true });
  assert.deepEqual(named(map, "carry")[0], ["carry", "drag", { by: [2, 1] }, [[1, 0, 0, 1, 2, 1]]]);
  assert.deepEqual(named(map, "drop")[0][2], { by: [2, 0] });
  dragAction(map, [0, 0]).cancel();
  assert.equal(named(map, "putBack").length, 1);
});

test("a box and a lasso tell their polygon; a slip tells none", () => {
  const map = mapOf();
  boxAction(map, [90, 40], PLAIN).end([110, 60], PLAIN);
  assert.deepEqual(named(map, "select")[0][1], [[-1, 1], [1, 1], [1, -1], [-1, -1]]);
  const lasso = lassoAction(map, [100, 50], PLAIN);
  for (const at of [[120, 50], [120, 70], [100, 70]]) lasso.move(at, PLAIN);
  lasso.end([100, 70], { ...PLAIN, add: true });
  assert.deepEqual(named(map, "select")[1].slice(1), [[[0, 0], [2, 0], [2, -2], [0, -2]], { ...PLAIN, add: true }]);
  boxAction(map, [90, 40], PLAIN).end([93, 42], PLAIN);
  assert.equal(named(map, "select").length, 2);
});

test("Alt and arrows move the selection until Enter keeps it or Escape gives it up", () => {
  const [root, map] = [rootOf(), mapOf()];
  attachMapKeys(root, map);
  pressed(root, "ArrowRight", { altKey: true });
  pressed(root, "ArrowUp", { altKey: true, shiftKey: true });
  assert.ok(pressed(root, "Enter"));
  assert.deepEqual(named(map, "drop").map(([, name, what]) => [name, what]), [["drag", { by: [0.8, 4] }]]);
  pressed(root, "]");
  pressed(root, "Escape");
  assert.deepEqual(named(map, "putBack").map(([, name]) => name), ["scale"]);
  assert.equal(named(map, "drop").length, 1);
});

test("a change by keys goes on when Alt is let go, and is kept by a pause or by another key", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const [root, map] = [rootOf(), mapOf()];
  attachMapKeys(root, map);
  for (const _ of [1, 2]) {
    pressed(root, "ArrowRight", { altKey: true });
    root.dispatchEvent(Object.assign(new Event("keyup"), { key: "Alt" }));
    context.mock.timers.tick(900);
  }
  assert.deepEqual(named(map, "drop"), []);
  context.mock.timers.tick(200);
  assert.deepEqual(named(map, "drop").map(([, , what]) => what), [{ by: [1.6, 0] }]);
  pressed(root, "ArrowRight", { altKey: true });
  pressed(root, "ArrowRight");
  assert.deepEqual(named(map, "drop").map(([, , { by }]) => by[0]), [1.6, 0.8]);
  pressed(root, "ArrowUp", { altKey: true });
  pressed(root, "Escape");
  context.mock.timers.tick(5000);
  assert.equal(named(map, "drop").length, 2);
});

test("another kind of change keeps the one before", () => {
  const [root, map] = [rootOf(), mapOf()];
  attachMapKeys(root, map);
  pressed(root, ",");
  pressed(root, ",");
  pressed(root, "[");
  pressed(root, "Enter");
  const kept = named(map, "drop").map(([, name, what]) => [name, what]);
  assert.deepEqual(kept[0], ["rotate", { degrees: 10 }]);
  assert.equal(kept[1][0], "scale");
  assert.ok(Math.abs(kept[1][1].factor - 1 / 1.05) < 1e-12);
});

test("with the tool for it, Alt and arrows part two selections", () => {
  const [root, map] = [rootOf(), mapOf({ tool: "separate", groups: [{ centre: [0, 0] }, { centre: [3, 4] }] })];
  attachMapKeys(root, map);
  pressed(root, "ArrowRight", { altKey: true });
  pressed(root, "Enter");
  const [, name, { distance }] = named(map, "drop")[0];
  assert.equal(name, "separate");
  assert.ok(Math.abs(distance - 5.25) < 1e-12);
});

test("keys do nothing without a selection, and no key deletes", () => {
  const [root, map] = [rootOf(), mapOf()];
  map.selected = { rows: [], centre: null, groups: [] };
  attachMapKeys(root, map);
  for (const key of ["Delete", "Backspace", "[", ",", "x", "Enter"]) assert.equal(pressed(root, key), false, key);
  assert.equal(pressed(root, "ArrowLeft", { altKey: true }), false);
  assert.deepEqual(map.told, []);
});

test("a cross draws a lasso by keys", () => {
  const [root, map] = [rootOf(), mapOf()];
  attachMapKeys(root, map);
  pressed(root, "c");
  pressed(root, " ");
  pressed(root, "ArrowRight");
  pressed(root, " ");
  pressed(root, "ArrowDown");
  pressed(root, "Enter");
  assert.deepEqual(named(map, "select")[0][1], [[0, 0], [0.8, 0], [0.8, -0.8]]);
  assert.match(named(map, "say").at(-1)[1], /^Space begins a lasso, Enter picks the point here/);
  pressed(root, "Enter", { shiftKey: true });
  assert.deepEqual(named(map, "pickAt")[0].slice(1), [[108, 58], { add: true }]);
});

test("a press that hardly moves is a click, one that moves a gesture; Escape gives it up", () => {
  const [root, map] = [rootOf(), mapOf()];
  const done = [];
  map.begin = (at) => ({ move: (to) => done.push(["move", at, to]), end: (to) => done.push(["end", to]), cancel: () => done.push(["cancel"]) });
  const gestures = attachGestures(root, map);
  pointer(root, "pointerdown", [10, 10]);
  pointer(root, "pointermove", [11, 11]);
  pointer(root, "pointerup", [11, 11]);
  assert.deepEqual(named(map, "click")[0][1], [10, 10]);
  pointer(root, "pointerdown", [10, 10]);
  pointer(root, "pointermove", [30, 10]);
  pointer(root, "pointerup", [40, 10]);
  assert.deepEqual(done, [["move", [10, 10], [30, 10]], ["end", [40, 10]]]);
  pointer(root, "pointerdown", [10, 10]);
  pointer(root, "pointermove", [30, 10]);
  assert.equal(gestures.cancel(), true);
  pointer(root, "pointerup", [40, 10]);
  assert.deepEqual(done.slice(3), [["cancel"]]);
  assert.equal(named(map, "click").length, 1);
});

test("two fingers zoom and give the first one's gesture up; a lost pointer does not drop", () => {
  const [root, map] = [rootOf(), mapOf()];
  const done = [];
  map.begin = () => ({ move: () => {}, end: () => done.push("end"), cancel: () => done.push("cancel") });
  attachGestures(root, map);
  const finger = (id) => ({ pointerId: id, pointerType: "touch" });
  pointer(root, "pointerdown", [50, 50], finger(1));
  pointer(root, "pointermove", [80, 50], finger(1));
  pointer(root, "pointerdown", [180, 50], finger(2));
  pointer(root, "pointermove", [280, 50], finger(2));
  assert.deepEqual(done, ["cancel"]);
  assert.deepEqual(named(map, "zoom")[0].slice(1), [2, [180, 50]]);
  pointer(root, "pointerup", [280, 50], finger(2));
  pointer(root, "pointerup", [80, 50], finger(1));
  pointer(root, "pointerdown", [10, 10]);
  pointer(root, "pointermove", [40, 10]);
  pointer(root, "pointercancel", [40, 10]);
  assert.deepEqual(done, ["cancel", "cancel"]);
});

test("words of a gesture", () => {
  assert.equal(changeWords("scale", { factor: 0.5 }), "50 % of its size");
  assert.equal(changeWords("rotate", { degrees: -30.2 }), "rotated by 30.2 degrees clockwise");
  assert.equal(changeWords("drag", { by: [1.23456, -2] }), "moved by 1.23, -2.00");
  assert.equal(changeWords("separate", { distance: 12 }), "distance 12.0");
});
