/** What a retraining is asked for: fields, their limits, and the options that they make. */

import { typedNumber } from "../elements/formatting.js";

export const OPTIMIZERS = ["adam", "adamw", "sgd", "rmsprop", "nadam", "adamax", "adagrad", "adadelta", "lion"];

/** What the form begins with. */
export function firstOptions(weight) {
  return {
    weight: String(weight ?? 0.1),
    epochs: "7",
    batch_size: "100",
    learning_rate: "",
    optimizer: "",
    seed: "0",
    seeds: "1",
    moved_only: false,
  };
}

const RULES = {
  epochs: { least: 1, whole: true, sentence: "Epochs are a whole number of 1 or more." },
  batch_size: { least: 1, whole: true, sentence: "A batch has 1 sample or more." },
  seed: { least: 0, whole: true, sentence: "A seed is a whole number of 0 or more." },
  learning_rate: {
    above: 0,
    optional: true,
    sentence: "A learning rate is above 0, or empty for the model's own.",
  },
  seeds: { least: 1, whole: true, sentence: "Seeds are a whole number of 1 or more." },
  weight: { least: 0, most: 1, sentence: "λ is a number from 0 to 1, or auto." },
};

/**
 * The options of a retraining from what was typed.
 *
 * @param {Object<string, string|boolean>} typed
 * @returns {{options: Object|null, wrong: {name: string, sentence: string}|null}}
 */
export function retrainOptions(typed) {
  const options = { moved_only: Boolean(typed.moved_only), optimizer: typed.optimizer || null };
  for (const [name, rule] of Object.entries(RULES)) {
    const text = String(typed[name] ?? "").trim();
    if (name === "weight" && text.toLowerCase() === "auto") {
      options.weight = "auto";
      continue;
    }
    if (rule.optional && text === "") {
      options[name] = null;
      continue;
    }
    const value = typedNumber(text);
    const fits = Number.isFinite(value) && (rule.least === undefined || value >= rule.least) &&
      (rule.most === undefined || value <= rule.most) && (rule.above === undefined || value > rule.above) && (!rule.whole || Number.isInteger(value));
    if (!fits) return { options: null, wrong: { name, sentence: `${rule.sentence} Received “${text}”.` } };
    options[name] = value;
  }
  return { options, wrong: null };
}

/**
 * The curves of an arm out of its epochs.
 *
 * @param {Array<{epoch: number, logs: Object}>} epochs
 * @param {string} key Such as "loss".
 */
export function armCurve(epochs, key) {
  return epochs.map(({ logs }) => logs?.[key] ?? Number.NaN);
}

/** Class scores of the last epoch of both arms, for the table. */
export function lastScores(arms, classes) {
  const last = (arm) => arms[arm]?.epochs.at(-1)?.scores?.f1 ?? null;
  const [control, pli] = [last("control"), last("PLI")];
  if (!control && !pli) return [];
  return classes.map(({ name }, i) => ({ name, control: control?.[i] ?? null, pli: pli?.[i] ?? null }));
}
