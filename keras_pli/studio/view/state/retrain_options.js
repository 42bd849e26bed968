/** What a retraining is asked for: fields, their limits, and the options that they make. */

import { shortNumber, typedNumber } from "../elements/formatting.js";

export const OPTIMIZERS = ["adam", "adamw", "sgd", "rmsprop", "nadam", "adamax", "adagrad", "adadelta", "lion"];

/**
 * What the form begins with: what the last retraining was told, and else what is usual.
 *
 * @param {Object|null} last Options as the server tells them.
 * @param {number|string} weight λ where there was no retraining yet.
 * @returns {Object<string, string|boolean>} As typed.
 */
export function firstOptions(last, weight = 0.1) {
  const usual = { weight, epochs: 7, batch_size: 100, learning_rate: null, optimizer: null, seed: 0, seeds: 1 };
  const told = { ...usual, moved_only: false, ...last };
  const typed = Object.fromEntries(Object.keys(usual).map((name) => [name, String(told[name] ?? "")]));
  return { ...typed, moved_only: Boolean(told.moved_only) };
}

const RULES = {
  weight: { least: 0, most: 1, sentence: "λ is a number from 0 to 1, or auto." },
  epochs: { least: 1, whole: true, sentence: "Epochs are a whole number of 1 or more." },
  batch_size: { least: 1, whole: true, sentence: "A batch has 1 sample or more." },
  learning_rate: {
    above: 0,
    optional: true,
    sentence: "A learning rate is above 0, or empty for the model's own.",
  },
  seed: { least: 0, whole: true, sentence: "A seed is a whole number of 0 or more." },
  seeds: { least: 1, whole: true, sentence: "Seeds are a whole number of 1 or more." },
};

/**
 * The options of a retraining from what was typed.
 *
 * @param {Object<string, string|boolean>} typed
 * @returns {{options: Object|null, wrong: Array<{name: string, sentence: string}>}} `wrong` names all fields that
 *   hold what cannot be, in the form's order; there are no options then.
 */
export function retrainOptions(typed) {
  const options = { moved_only: Boolean(typed.moved_only), optimizer: typed.optimizer || null };
  const wrong = [];
  for (const [name, rule] of Object.entries(RULES)) {
    const text = String(typed[name] ?? "").trim();
    if (name === "weight" && text.toLowerCase() === "auto") options.weight = "auto";
    else if (rule.optional && text === "") options[name] = null;
    else if (fitsRule(typedNumber(text), rule)) options[name] = typedNumber(text);
    else wrong.push({ name, sentence: `${rule.sentence} ${text ? `Received “${text}”.` : "It is empty."}` });
  }
  return { options: wrong.length ? null : options, wrong };
}

function fitsRule(value, { least = -Infinity, most = Infinity, above = -Infinity, whole = false }) {
  return Number.isFinite(value) && value >= least && value <= most && value > above &&
    (!whole || Number.isInteger(value));
}

/**
 * Options in words, as the comparison tells them.
 *
 * @param {Object} options As the server tells them.
 * @param {number|null} found λ that was used, which "auto" does not say.
 */
export function optionWords(options, found = null) {
  const { weight, epochs, batch_size: batch, learning_rate: rate, optimizer, seed, seeds = 1 } = options;
  const used = Number.isFinite(found) ? found : weight;
  const lambda = `λ = ${typeof used === "number" ? shortNumber(used) : used}`;
  return [
    weight === "auto" ? `${lambda}${used === "auto" ? "" : ", found by itself"}` : lambda,
    `${epochs} ${epochs === 1 ? "epoch" : "epochs"}`,
    `batches of ${batch}`,
    seeds > 1 ? `seeds ${seed} to ${seed + seeds - 1}` : `seed ${seed}`,
    optimizer ?? "the model's own optimiser",
    ...(rate === null || rate === undefined ? [] : [`learning rate ${shortNumber(rate)}`]),
    ...(options.moved_only ? ["moved points alone pulled"] : []),
  ].join(" · ");
}

/**
 * The classification loss after an epoch. `loss` itself is that of the control alone: with the plan it is mixed
 * with the way to the targets, and the two cannot be compared.
 *
 * @param {Object|undefined} logs
 * @param {string} arm "control" or "PLI".
 */
export function classificationLoss(logs, arm) {
  return logs?.classification_loss ?? (arm === "control" ? logs?.loss : undefined) ?? Number.NaN;
}

/** Class scores of the last epoch of both arms, for the table. */
export function lastScores(arms, classes) {
  const last = (arm) => arms[arm]?.epochs.at(-1)?.scores?.f1 ?? null;
  const [control, pli] = [last("control"), last("PLI")];
  if (!control && !pli) return [];
  return classes.map(({ name }, i) => ({ name, control: control?.[i] ?? null, pli: pli?.[i] ?? null }));
}
