import assert from "node:assert/strict";
import test from "node:test";

import { decidingActions } from "../../../keras_pli/studio/view/state/deciding.js";
import {
  classificationLoss, firstOptions, lastScores, optionWords, retrainOptions,
} from "../../../keras_pli/studio/view/state/retrain_options.js";
import { createStore, initialState } from "../../../keras_pli/studio/view/state/store.js";

const OPTIONS = {
  weight: "auto", epochs: 3, batch_size: 32, learning_rate: 0.01, optimizer: "adam", seed: 4, seeds: 2, moved_only: true,
};

/** Actions over a server that answers as told; what was asked is noted. */
function deciding(answers, state = {}) {
  const store = createStore({ ...initialState(), ...state });
  const asked = [];
  const notes = [];
  const ask = async (kind, fields) => {
    asked.push([kind, fields, store.state.deciding]);
    return answers[kind] ? { content: answers[kind], buffers: [new DataView(new ArrayBuffer(8))] } : null;
  };
  const loading = { hello: async () => store.set({ comparison: false }) };
  const actions = decidingActions({ ask, store, toasts: { note: (told) => notes.push(told) }, loading });
  return { actions, store, asked, notes };
}

test("options of a retraining are numbers, or a sentence for each field that is wrong", () => {
  const typed = firstOptions(null, 0.2);
  const { options } = retrainOptions({ ...typed, moved_only: true, optimizer: "adam" });
  assert.deepEqual(options, {
    weight: 0.2, epochs: 7, batch_size: 100, learning_rate: null, optimizer: "adam", seed: 0, seeds: 1, moved_only: true,
  });
  assert.equal(retrainOptions({ ...typed, weight: " Auto " }).options.weight, "auto");
  const bad = { weight: "1.5", epochs: "2.5", batch_size: "0", learning_rate: "0", seed: "x", seeds: "0" };
  const { options: none, wrong } = retrainOptions({ ...typed, ...bad });
  assert.equal(none, null);
  assert.deepEqual(wrong.map(({ name }) => name), Object.keys(bad));
  wrong.forEach(({ name, sentence }) => assert.ok(sentence.includes(`“${bad[name]}”`), sentence));
  assert.match(retrainOptions({ ...typed, epochs: " " }).wrong[0].sentence, /It is empty\.$/);
});

test("the form begins as the last retraining was told", () => {
  assert.deepEqual(retrainOptions(firstOptions(OPTIONS, 0.1)).options, OPTIONS);
});

test("options are told in words, with the weight that was found", () => {
  assert.equal(
    optionWords(OPTIONS, 0.25),
    "λ = 0.25, found by itself · 3 epochs · batches of 32 · seeds 4 to 5 · adam · learning rate 0.01 · moved points alone pulled",
  );
  assert.match(optionWords({ ...OPTIONS, weight: 0.1, epochs: 1, seeds: 1 }), /^λ = 0\.1 · 1 epoch · .* · seed 4 · /);
});

test("the loss of both arms is that of the classification", () => {
  assert.equal(classificationLoss({ loss: 5, classification_loss: 2 }, "PLI"), 2);
  assert.equal(classificationLoss({ loss: 3 }, "control"), 3);
  assert.ok(Number.isNaN(classificationLoss({ loss: 5 }, "PLI"))); // mixed with the way to the targets
});

test("scores come from the last epoch that there is", () => {
  const epochs = [{ epoch: 1, logs: { loss: 2 } }, { epoch: 2, logs: { loss: 1 }, scores: { f1: [0.5, 0.6] } }];
  const scores = lastScores({ control: { epochs } }, [{ name: "a" }, { name: "b" }]);
  assert.deepEqual(scores, [{ name: "a", control: 0.5, pli: null }, { name: "b", control: 0.6, pli: null }]);
  assert.deepEqual(lastScores({}, [{ name: "a" }]), []);
});

test("what is kept is one arm, once, and the server says what became of the plan", async () => {
  const state = { compared: { round: null }, comparing: true, comparison: true };
  const { actions, store, asked, notes } = deciding({ keep: { note: "1 step is switched off." } }, state);
  await Promise.all([actions.keep("control"), actions.keep()]);
  assert.deepEqual(asked, [["keep", { arm: "control" }, "control"]]);
  assert.match(notes.join(), /^Kept.* 1 step is switched off\.$/);
  assert.deepEqual([store.state.deciding, store.state.comparing, store.state.compared], [null, false, null]);
});

test("a decision that failed leaves the comparison as it was", async () => {
  const { actions, store } = deciding({}, { compared: { round: null }, comparing: true, comparison: true });
  await actions.keep();
  assert.deepEqual([store.state.deciding, store.state.comparing, store.state.comparison], [null, true, true]);
});

test("a comparison goes when another page has decided, or gone to another round", async () => {
  const state = { round: { number: 0 }, compared: { round: null }, comparing: true, comparison: true };
  for (const number of [0, 1]) {
    const { actions, store } = deciding({}, state);
    await actions.takeRound({ round: { number }, rounds: [] });
    assert.deepEqual([store.state.comparing, store.state.compared], [false, null]);
  }
});

test("a round that was kept is compared apart from what waits", async () => {
  const comparison = { answer: "So it was.", maps: ["PLI"], options: OPTIONS };
  const { actions, store, asked } = deciding({ comparison, positions: {} }, { lastOptions: null });
  await actions.openComparison(2);
  assert.deepEqual(asked.map(([kind, fields]) => [kind, fields]), [["comparison", { round: 2 }], ["positions", { of: "PLI", round: 2 }]]);
  assert.equal(store.state.compared.positions.PLI.length, 2);
  assert.deepEqual([store.state.comparison, store.state.lastOptions], [false, null]);
});

test("the settings of a retraining are learned from what was interrupted, or from what waits", async () => {
  const { actions, store, asked } = deciding({}, { unfinished: { options: OPTIONS } });
  await actions.learnOptions();
  assert.deepEqual([store.state.lastOptions, asked], [OPTIONS, []]);
  const waiting = deciding({ comparison: { options: OPTIONS } }, { comparison: true });
  await waiting.actions.learnOptions();
  assert.deepEqual([waiting.store.state.lastOptions, waiting.store.state.comparing], [OPTIONS, false]);
});

test("a plan that is edited beside the comparison is said to have changed", async () => {
  const compared = { round: null, maps: [], changed: false };
  const { actions, store, asked } = deciding({ comparison: { changed: true } }, { compared, comparing: true });
  await actions.renewChanged();
  assert.equal(store.state.compared.changed, true);
  store.set({ comparing: false });
  await actions.renewChanged();
  assert.equal(asked.length, 1);
});
