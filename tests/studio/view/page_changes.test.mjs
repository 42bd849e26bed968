import assert from "node:assert/strict";
import test from "node:test";

import * as changes from "../../../keras_pli/studio/view/state/changes.js";
import { checkMark, movedSelection } from "../../../keras_pli/studio/view/state/check_marks.js";

const THREE = changes.indicesSelection([0, 1, 2]);
const XY = Float32Array.from([0, 0, 2, 0, 4, 3, 9, 9]);
const MASK = Uint8Array.from([1, 1, 1, 0]);
const CENTRE = [2, 1];

function close(actual, expected) {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, k) => assert.ok(Math.abs(value - expected[k]) < 1e-5, `${actual} ~ ${expected}`));
}

/** Two steps one after the other, the second about where the first has left the centre. */
function inTurn(first, second) {
  const after = changes.guessedTargets(XY, MASK, CENTRE, first);
  const centre = [(after[0] + after[2] + after[4]) / 3, (after[1] + after[3] + after[5]) / 3];
  return changes.guessedTargets(after, MASK, centre, second);
}

test("smaller is a Contract, larger a Scale, and never below nothing", () => {
  assert.deepEqual(changes.scaleChange(THREE, 0.5), { type: "Contract", selection: THREE, factor: 0.5 });
  assert.equal(changes.scaleChange(THREE, 1).type, "Contract");
  assert.equal(changes.scaleChange(THREE, 1.2).type, "Scale");
  assert.equal(changes.scaleChange(THREE, -0.1).factor, 0);
});

test("one class is stored as such, several are points", () => {
  assert.deepEqual(changes.classSelection(["cat"]), { type: "ClassLabel", label: "cat" });
  assert.equal(changes.classSelection([1, 2]), null);
});

test("numbers have the figures that float32 can tell", () => {
  assert.deepEqual(changes.shiftChange(THREE, [1.23456789, -0.1 - 0.2]).by, [1.23457, -0.3]);
});

test("what comes back to where it was is no step", () => {
  const idle = [changes.shiftChange(THREE, [0, 0]), changes.scaleChange(THREE, 1), changes.rotateChange(THREE, -360)];
  assert.deepEqual(idle.map(changes.isIdle), [true, true, true]);
  const steps = [changes.shiftChange(THREE, [0, 1]), changes.moveToChange(THREE, [0, 0]), changes.rotateChange(THREE, 90)];
  assert.deepEqual(steps.map(changes.isIdle), [false, false, false]);
});

test("a merged step does what both do in turn", () => {
  const pairs = [
    [changes.shiftChange(THREE, [1, 2]), changes.shiftChange(THREE, [3, -5])],
    [changes.moveToChange(THREE, [7, 7]), changes.shiftChange(THREE, [3, -5])],
    [changes.shiftChange(THREE, [1, 2]), changes.moveToChange(THREE, [3, -5])],
    [changes.scaleChange(THREE, 0.5), changes.scaleChange(THREE, 3)],
    [changes.scaleChange(THREE, 2), changes.scaleChange(THREE, 0.25)],
    [changes.rotateChange(THREE, 30), changes.rotateChange(THREE, 45)],
  ];
  for (const [first, second] of pairs) {
    const merged = changes.mergedChange(first, second);
    close([...changes.guessedTargets(XY, MASK, CENTRE, merged)], [...inTurn(first, second)]);
  }
  assert.equal(changes.mergedChange(pairs[3][0], pairs[3][1]).type, "Scale");
  assert.equal(changes.mergedChange(pairs[4][0], pairs[4][1]).type, "Contract");
});

test("steps of two kinds, or with two reasons, stay two; one reason is kept", () => {
  const shift = changes.shiftChange(THREE, [1, 0]);
  assert.equal(changes.mergedChange(shift, changes.rotateChange(THREE, 5)), null);
  assert.equal(changes.mergedChange({ type: "Weigh", selection: THREE, factor: 2 }, { type: "Weigh", selection: THREE, factor: 3 }), null);
  assert.equal(changes.mergedChange({ ...shift, reason: "a" }, { ...shift, reason: "b" }), null);
  assert.equal(changes.mergedChange({ ...shift, reason: "a" }, shift).reason, "a");
  assert.equal(changes.mergedChange({ type: "Scale", selection: THREE, factor: [1, 2] }, changes.scaleChange(THREE, 2)), null);
});

test("the guess of a step leaves the other points, and agrees with the plan's own rules", () => {
  // keras_pli's own examples of Contract, MoveTo and Rotate.
  const two = (numbers) => Float32Array.from(numbers);
  const both = Uint8Array.from([1, 1]);
  close([...changes.guessedTargets(two([0, 0, 4, 8]), both, [2, 4], { type: "Contract", factor: 0.5 })], [1, 2, 3, 6]);
  close([...changes.guessedTargets(two([1, 0, 3, 0]), both, [2, 0], { type: "MoveTo", position: [0, 0] })], [-1, 0, 1, 0]);
  close([...changes.guessedTargets(two([1, 0, -1, 0]), both, [0, 0], { type: "Rotate", degrees: 90 })], [0, 1, 0, -1]);
  assert.deepEqual([...changes.guessedTargets(XY, MASK, CENTRE, { type: "Shift", by: [1, 1] }).slice(6)], [9, 9]);
  assert.equal(changes.guessedTargets(XY, MASK, CENTRE, { type: "Exclude" }), XY);
});

test("numbers of an entry are edited one by one", () => {
  const shift = changes.shiftChange(THREE, [1, 2]);
  const numbers = changes.editableNumbers(shift);
  assert.deepEqual(numbers.map(({ name, value }) => [name, value]), [["x", 1], ["y", 2]]);
  assert.deepEqual(changes.withNumber(shift, numbers[1], 9).by, [1, 9]);
  assert.deepEqual(shift.by, [1, 2]);
  const contract = changes.scaleChange(THREE, 0.5);
  const [factor] = changes.editableNumbers(contract);
  assert.equal(changes.withNumber(contract, factor, 2).type, "Scale");
  assert.equal(changes.withNumber(contract, factor, 0.9).type, "Contract");
  assert.deepEqual(changes.editableNumbers({ type: "Exclude", selection: THREE }), []);
  assert.deepEqual(changes.editableNumbers({ type: "Scale", selection: THREE, factor: [1, 2] }), []);
  assert.equal(changes.editableNumbers({ type: "Lasso", polygon: {} }).length, 3);
});

test("a reason is trimmed, and an empty one is none", () => {
  assert.equal(changes.withReason({ type: "Exclude" }, " wrong label ").reason, "wrong label");
  assert.equal("reason" in changes.withReason({ type: "Exclude", reason: "old" }, "  "), false);
});

test("entries go up and down, and stop at the ends", () => {
  assert.deepEqual(changes.reordered([1, 2, 3], 3, -1), [1, 3, 2]);
  assert.deepEqual(changes.reordered([1, 2, 3], 1, 1), [2, 1, 3]);
  assert.deepEqual(changes.reordered([1, 2, 3], 1, -1), [1, 2, 3]);
  assert.deepEqual(changes.reordered([1, 2, 3], 3, 1), [1, 2, 3]);
});

test("a check is marked as what it found, collisions before all", () => {
  const mark = (move) => checkMark({ collides: [], passes: true, pilot_share: null, ...move }, [1, 2]);
  assert.deepEqual(mark({ collides: ["Coat", "Dress"], passes: false }), { at: [1, 2], text: "collides with Coat and Dress", kind: "collision" });
  assert.deepEqual([mark({ pilot_share: 0.42 }).text, mark({ pilot_share: 0.42 }).kind], ["follows 42\u00a0%", "note"]);
  assert.deepEqual([mark({}).text, mark({ passes: false, pilot_share: 0.01 }).kind], ["free", "collision"]);
  assert.equal(movedSelection({ type: "Separate", first: THREE, second: 1 }), THREE);
  assert.equal(movedSelection({ type: "Other" }), null);
});
