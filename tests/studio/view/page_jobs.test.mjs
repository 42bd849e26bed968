import assert from "node:assert/strict";
import test from "node:test";

import { categoryPlaces } from "../../../keras_pli/studio/view/state/class_places.js";
import { planningActions } from "../../../keras_pli/studio/view/state/planning.js";
import { createStore, initialState } from "../../../keras_pli/studio/view/state/store.js";
import { workingActions } from "../../../keras_pli/studio/view/state/working.js";

const MOVE = { change: { type: "Shift", selection: { type: "ClassLabel", label: 1 }, by: [1, 0] }, words: "shift" };

/** A plan of some steps that are on. */
function planOf(steps, revision) {
  return { revision, entries: Array.from({ length: steps }, (_, id) => ({ id, on: true })), error: null };
}

function working() {
  const store = createStore({ ...initialState(), plan: planOf(1, 1), info: { points: 1 } });
  const errors = [];
  const toasts = { error: (...told) => errors.push(told), note() {} };
  const ask = async () => null;
  const taken = async () => {
    store.set({ plan: planOf(2, 2) });
    return {};
  };
  const planning = { showGhosts: async () => {}, addWhole: taken };
  const actions = workingActions({ ask, store, toasts, planning, deciding: {} });
  const end = (job, result, more = {}) => {
    actions.takeJob({ id: job, job, state: "running", options: {} });
    actions.takeJob({ id: job, job, state: "done", result, ...more });
  };
  return { store, actions, errors, end };
}

test("moves that were suggested and changes that were proposed stand beside each other, and are told", () => {
  const { store, end } = working();
  end("suggest", { changes: [MOVE], words: "1 move suggested" });
  assert.deepEqual(store.state.news, { sentence: "1 move suggested", of: "suggest", tab: "edit" });
  end("propose", { proposals: [], words: "Nothing to propose" });
  assert.equal(store.state.news.sentence, "Nothing to propose");
  assert.equal(store.state.suggestions.entries.length, 1);
  assert.deepEqual(store.state.proposals.entries, []);
});

test("what was found before the page came is listed, but no news, and of no plan that is known", () => {
  const { store, actions } = working();
  actions.takeJob({ id: 1, job: "suggest", state: "done", result: { changes: [MOVE], words: "1 move suggested" } });
  assert.deepEqual([store.state.suggestions.revision, store.state.news], [null, null]);
  actions.takeJob({ id: 2, job: "check", state: "done", result: { moves: [] } });
  assert.equal(store.state.check, null);
});

test("what a check found is told, and belongs to its plan", () => {
  const { store, end } = working();
  end("check", { moves: [{ entry: 0, passes: true }, { entry: 9, passes: false }] });
  assert.equal(store.state.news.sentence, "The plan is checked: 1 of 2 moves passes");
  assert.equal(store.state.check.revision, 1);
});

test("one suggestion taken leaves the others current; a step of one's own does not", async () => {
  const { store, actions, end } = working();
  end("suggest", { changes: [MOVE, { ...MOVE }], words: "2 moves suggested" });
  await actions.takeSuggestion("suggestions", store.state.suggestions.entries[0]);
  assert.deepEqual(store.state.suggestions.entries.map(({ taken }) => Boolean(taken)), [true, false]);
  assert.equal(store.state.suggestions.revision, 2);
  store.set({ plan: planOf(1, 5) });
  await actions.takeSuggestion("suggestions", store.state.suggestions.entries[1]);
  assert.equal(store.state.suggestions.revision, 2);
});

test("an answer that the end of its job has overtaken does not let it run again", () => {
  const { store, actions, end } = working();
  end("suggest", { changes: [MOVE], words: "1 move suggested" });
  const ended = store.state.job;
  actions.takeJob({ id: "suggest", job: "suggest", state: "running", words: "Stopping …" });
  actions.takeJob(null);
  assert.equal(store.state.job, ended);
  actions.takeJob({ id: "check", job: "check", state: "running" });
  assert.equal(store.state.job.state, "running");
});

test("a job that fails says of what it is an error, so that it can go when the job works", () => {
  const { actions, errors } = working();
  actions.takeJob({ id: 1, job: "check", state: "running" });
  actions.takeJob({ id: 1, job: "check", state: "failed", error: "No." });
  assert.deepEqual(errors, [["No.", "start check"]]);
});

test("the settings of any page's retraining are the next form's, and one that was interrupted is over", () => {
  const { store, actions } = working();
  store.set({ unfinished: { words: "It ended." } });
  actions.takeJob({ id: 1, job: "retrain", state: "running", options: { weight: 0.4 } });
  assert.deepEqual([store.state.lastOptions, store.state.unfinished], [{ weight: 0.4 }, null]);
});

test("news and an old check go with the plan they were about", () => {
  const store = createStore({ ...initialState(), plan: planOf(2, 1), check: { revision: 1 }, news: { sentence: "Found." } });
  const loading = { loadTargets() {} };
  const { takePlan } = planningActions({ ask: async () => null, store, toasts: {}, loading });
  takePlan(planOf(1, 2));
  assert.deepEqual([store.state.news, store.state.check], [null, { revision: 1 }]);
  takePlan(planOf(0, 3));
  assert.equal(store.state.check, null);
});

test("a step that nobody answered is not said to be taken back", async () => {
  const store = createStore({ ...initialState(), plan: { ...planOf(1, 1), can_undo: true } });
  const told = [];
  const ask = async (kind, fields, { consequence }) => { told.push(consequence); return null; };
  await planningActions({ ask, store, toasts: {}, loading: {} }).undo();
  assert.equal(told.length, 1);
  assert.match(told[0], /shows the plan as it is stored/);
  assert.doesNotMatch(told[0], /taken back/);
});

test("the name of a category stands in its middle, whatever lies far off", () => {
  const xy = Float32Array.from([0, 0, 2, 4, 100, 2, 5, 5, 9, 9]);
  const places = categoryPlaces(xy, Uint16Array.from([0, 0, 0, 2, 65535]), 3);
  assert.deepEqual(places, [[2, 2], null, [5, 5]]);
  assert.deepEqual(categoryPlaces(xy, Uint16Array.from([0, 0, 1, 1, 1]), 1), [[1, 2]]);
});
