/** What the studio proposes and thinks of the plan: moves, labels, and whether the classifier will follow. */

import { button, element, refill } from "../elements/dom.js";
import { counted, listed, percentage } from "../elements/formatting.js";
import { retrainOptions } from "../state/retrain_options.js";
import { section } from "../elements/sections.js";
import { progressBar } from "./status_line.js";

/**
 * Makes the section.
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {HTMLElement}
 */
export function createSuggestionsPanel({ store, actions }) {
  const { state } = store;
  const bar = element("div", { class: "kps-row" });
  const working = element("div", {});
  const list = element("div", { class: "kps-suggestions", "aria-live": "polite" });

  function drawBar() {
    const busy = String(state.job?.state === "running");
    const empty = String(!state.plan.entries.some(({ on }) => on) || busy === "true");
    refill(bar, [
      button(
        "Suggest moves",
        () => actions.start("suggest"),
        { class: "kps-small", "aria-disabled": busy, title: "Moves for classes that are confused with each other" },
      ),
      button(
        "Propose data changes",
        () => actions.start("propose"),
        {
          class: "kps-small",
          "aria-disabled": busy,
          title: "Labels that look wrong, duplicates, unlabelled clusters, small groups",
        },
      ),
      button(
        "Check the plan",
        check,
        {
          class: "kps-small",
          "aria-disabled": empty,
          title: "How far the classifier is expected to follow, and which classes collide",
        },
      ),
    ]);
    const mine = state.job?.state === "running" && ["suggest", "propose", "check"].includes(state.job.job);
    refill(working, mine ? [jobLine(state.job, actions)] : []);
  }

  /** As the retraining is meant, where its options are in order. */
  function check() {
    const { options } = retrainOptions(state.retrain);
    return actions.start("check", options ? { weight: options.weight, seed: options.seed } : {});
  }

  function drawList() {
    const { suggestions, check, plan } = state;
    refill(list, [
      check && checked(check, plan),
      suggestions && proposed(suggestions),
    ]);
  }

  function checked({ moves = [], share, revision }, plan) {
    return element(
      "div",
      {},
      element("h3", {}, "Check of the plan"),
      revision !== plan.revision && element(
        "p",
        { class: "kps-hint" },
        "The plan has changed since; check it again.",
      ),
      share !== null && share !== undefined && element(
        "p",
        {},
        `Expected to follow for ${percentage(share)} of the way, all moves together.`,
      ),
      !moves.length && element("p", { class: "kps-hint" }, "There is no move to check."),
      element("ol", { class: "kps-checks" }, moves.map(checkedMove)),
    );
  }

  function checkedMove({ place, words, sentence, passes, collides, pilot_share: share, points }) {
    return element(
      "li",
      { class: passes ? "kps-passes" : "kps-fails" },
      element("p", {}, element("b", {}, `${passes ? "✓" : "✕"} Step ${place}: `), words),
      element("p", { class: "kps-muted" }, sentence),
      element("p", { class: "kps-facts" },
        share !== null && share !== undefined && element("span", {}, `follows ${percentage(share)}`),
        collides?.length > 0 && element("span", { class: "kps-taken-for" }, `collides with ${listed(collides)}`),
        points !== null && points !== undefined && element("span", {}, counted(points, "point"))),
    );
  }

  function proposed({ kind, entries, words }) {
    const title = kind === "suggest" ? "Suggested moves" : "Proposed changes of the data";
    return element(
      "div",
      {},
      element("h3", {}, title),
      element("p", { class: "kps-hint" }, words ?? "Nothing was found that is worth it."),
      element("ul", { class: "kps-proposals" }, entries.map((entry, i) => proposal(entry, `${kind} ${i}`))),
      entries.length > 0 && button("Dismiss", dismiss, { class: "kps-link" }),
    );
  }

  function proposal(entry, key) {
    const shown = state.ghosts?.key === key;
    return element(
      "li",
      { class: "kps-proposal" },
      element(
        "p",
        {},
        entry.words,
        entry.count ? element("span", { class: "kps-muted" }, ` ${counted(entry.count, "sample")}`) : null,
      ),
      entry.reason && element("p", { class: "kps-muted" }, entry.reason),
      entry.indices && samples(entry.indices),
      element(
        "div",
        { class: "kps-row" },
        entry.taken
          ? element("span", { class: "kps-muted" }, "In the plan")
          : button(
            "Take",
            () => actions.takeSuggestion(entry),
            { class: "kps-small kps-primary", "data-focus": `take ${key}` },
          ),
        entry.change.selection && button(
          "Select",
          () => actions.select(entry.change.selection),
          { class: "kps-small", "data-focus": `select ${key}` },
        ),
        isMove(entry.change) && button(shown ? "Hide" : "Show on the map", () => actions.showGhosts(shown ? null : [entry.change], key),
          { class: "kps-small", "aria-pressed": String(shown), "data-focus": `show ${key}` }),
      ),
    );
  }

  /** The first samples of a proposal, as pictures that open them. */
  function samples(indices) {
    const place = element("div", { class: "kps-strip" });
    actions.pictures(indices).then((images) => {
      place.append(...indices.map((index, i) =>
        element("button", {
          type: "button",
          title: `Look at sample ${index}`,
          "aria-label": `Look at sample ${index}`,
          on: { click: () => look(index) },
        },
          images[i] ? element("img", { src: images[i], alt: "" }) : String(index))));
    });
    return place;
  }

  function look(index) {
    store.set({ tab: "sample" });
    actions.inspect(index);
  }

  function dismiss() {
    actions.showGhosts(null);
    store.set({ suggestions: null });
  }

  store.on(["job", "plan"], drawBar);
  store.on(["suggestions", "check", "plan", "ghosts"], drawList);
  drawBar();
  return section("Suggestions and checks", [bar, working, list]);
}

function isMove({ type }) {
  return !["Weigh", "Relabel", "Exclude"].includes(type);
}

/** A job under way: what it does, how far it is, and a way to stop it. */
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
