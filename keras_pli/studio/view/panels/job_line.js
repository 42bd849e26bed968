/** A job under way, as one line. */

import { button, element } from "../elements/dom.js";

/**
 * What a job does, how far it is, and a way to stop it.
 *
 * @param {{words: string, progress: number|null}} job
 * @param {Object} actions
 */
export function jobLine(job, actions) {
  return element(
    "div",
    { class: "kps-job" },
    element("span", {}, job.words || "Working…"),
    element(
      "div",
      { class: "kps-row" },
      progressBar(job.progress, job.words || "Progress"),
      button("Stop", actions.stop, { class: "kps-small", "data-focus": "stop here" }),
    ),
  );
}

/**
 * How far a job is.
 *
 * @param {number|null} share From 0 to 1; null where it cannot be told.
 * @param {string} label
 */
export function progressBar(share, label) {
  return element(
    "progress",
    { "aria-label": label, max: "1", ...(share === null || share === undefined ? {} : { value: String(share) }) },
  );
}
