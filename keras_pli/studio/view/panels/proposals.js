/** A list of changes that the studio found, to take or to leave. */

import { button, element, refill } from "../elements/dom.js";
import { counted } from "../elements/formatting.js";

/**
 * Makes the list.
 *
 * @param {{store: Object, actions: Object}} view
 * @param {{list: string, title: string}} about `list` is the part of the state that holds it.
 * @returns {HTMLElement}
 */
export function createProposals({ store, actions }, { list, title }) {
  const { state } = store;
  const node = element("div", { class: "kps-suggestions", tabindex: "-1" });

  function draw() {
    const { [list]: found, plan } = state;
    if (!found) return refill(node, []);
    const { entries, words, revision } = found;
    return refill(node, [
      element("h3", {}, title),
      element("p", { class: "kps-hint" }, words),
      revision !== plan.revision && entries.length > 0 && element(
        "p",
        { class: "kps-hint" },
        revision === null
          ? "They were found before this page was opened: the plan may have changed since."
          : "The plan has changed since: these were found for an earlier one.",
      ),
      element("ul", { class: "kps-proposals" }, entries.map((entry, i) => proposal(entry, `${list} ${i}`))),
      button(
        "Dismiss",
        dismiss,
        { class: "kps-link", "data-focus": `dismiss ${list}`, "aria-label": `Dismiss: ${title}` },
      ),
    ]);
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
            () => actions.takeSuggestion(list, entry),
            { class: "kps-small kps-primary", "data-focus": `take ${key}` },
          ),
        entry.change.selection && button(
          "Select",
          () => actions.select(entry.change.selection),
          { class: "kps-small", "data-focus": `select ${key}` },
        ),
        isMove(entry.change) && button(
          shown ? "Hide" : "Show on the map",
          () => actions.showGhosts(shown ? null : [entry.change], key),
          { class: "kps-small", "aria-pressed": String(shown), "data-focus": `show ${key}` },
        ),
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
    if (state.ghosts?.key?.startsWith(list)) actions.showGhosts(null);
    store.set({ [list]: null });
  }

  store.on([list, "plan", "ghosts"], draw);
  return node;
}

function isMove({ type }) {
  return !["Weigh", "Relabel", "Exclude"].includes(type);
}
