/** One sample looked at closely: what it is, what it is taken for, who is near, and why. */

import { probabilityBars } from "../elements/charts.js";
import { button, chooser, element, refill } from "../elements/dom.js";
import { enlargeable } from "../elements/enlarging.js";
import { counted, percentage, shortNumber } from "../elements/formatting.js";
import { methodsOf, sampleWords } from "../state/naming.js";
import { section } from "../elements/sections.js";

const MOST_CHOSEN = 3; // methods that are chosen to begin with

/** Keys for one sample, for a list of shortcuts. */
export const SAMPLE_KEYS = [
  {
    key: "x",
    label: "explain the sample looked at",
    act({ store, actions }) {
      store.set({ tab: "sample" });
      actions.explain();
    },
  },
];

/**
 * Makes the sections of the tab "Sample".
 *
 * @param {{store: Object, actions: Object, toasts: Object}} view
 * @returns {HTMLElement[]}
 */
export function createInspector({ store, actions, toasts }) {
  const { state } = store;
  const card = element("div", { class: "kps-card" });
  const near = element("div", {});
  const why = element("div", { class: "kps-why" });
  const answers = element("div", { class: "kps-answers", "aria-live": "polite" });
  const nearSection = section("Neighbours", [near]);
  const whySection = section("Why", [why, answers]);

  function drawCard() {
    const { inspected, info } = state;
    nearSection.hidden = !inspected?.card;
    whySection.hidden = !inspected?.card || !info;
    refill(card, inspected ? details(inspected) : [finder()]);
    refill(near, inspected?.card ? [strip(inspected)] : []);
  }

  function finder() {
    return element(
      "div",
      { class: "kps-finder" },
      element("p", { class: "kps-hint" }, "Click a point on the map to look at its sample, or give its index:"),
      goTo("Index of the sample"),
    );
  }

  function goTo(label) {
    const input = element("input", { type: "text", inputmode: "numeric", "aria-label": label, placeholder: "index", "data-focus": "sample index",
      on: { keydown: (event) => event.key === "Enter" && look() } });
    function look() {
      const index = Number(input.value);
      if (input.value.trim() !== "" && Number.isInteger(index) && index >= 0 && index < state.info.points) return actions.inspect(index);
      return toasts.error(`There is no sample “${input.value}”: they are 0 to ${state.info.points - 1}.`);
    }
    return element(
      "span",
      { class: "kps-row" },
      input,
      button("Look", look, { class: "kps-small", "data-focus": "look at index" }),
    );
  }

  function details({ index, card: told, picture }) {
    if (!told) return [element("p", { class: "kps-hint" }, `Fetching sample ${index}…`)];
    const wrong = told.predicted_name !== told.name;
    return [
      element(
        "div",
        { class: "kps-card-head" },
        picture && enlargeable(
          element("img", { class: "kps-picture", src: picture, alt: `Sample ${index}, ${told.name}` }),
          () => actions.enlarge({ source: picture, title: `Sample ${index}, ${told.name}`, index }),
        ),
        element(
          "div",
          {},
          element("p", { class: "kps-card-name" }, told.name),
          element(
            "p",
            { class: wrong ? "kps-taken-for" : "" },
            wrong ? `taken for ${told.predicted_name}` : "predicted as such",
            ` (${percentage(told.confidence)})`,
          ),
          element(
            "p",
            { class: "kps-muted" },
            sampleWords(told),
          ),
        ),
      ),
      probabilityBars(told.probabilities, "Probabilities"),
      element(
        "div",
        { class: "kps-row" },
        button("Select it", () => actions.selectIndices([index]), { class: "kps-small" }),
        button(
          "Select it and its neighbours",
          () => actions.selectIndices([index, ...told.neighbors.map((entry) => entry.index)]),
          { class: "kps-small" },
        ),
        goTo("Index of another sample"),
      ),
    ];
  }

  function strip({ card: told, strip: images }) {
    if (!told.neighbors.length) return element("p", { class: "kps-hint" }, "None.");
    return element(
      "ul",
      { class: "kps-strip", "aria-label": counted(told.neighbors.length, "nearest sample") },
      told.neighbors.map(({ index, name, predicted_name: predicted, distance }, i) =>
        element(
          "li",
          {},
          element(
            "button",
            {
              type: "button", class: name === told.name ? "" : "kps-other", "data-focus": `neighbour ${index}`,
              title: `Sample ${index}: ${name}, predicted ${predicted}, distance ${shortNumber(distance)} in the layer's activations`,
              on: { click: () => actions.inspect(index) },
            },
            images[i] ? element("img", { src: images[i], alt: "" }) : element(
              "span",
              { class: "kps-noimage" },
              String(index),
            ),
            element("span", { class: "kps-strip-name" }, name),
          ),
        )),
    );
  }

  function drawWhy() {
    const { info, inspected } = state;
    if (!info || !inspected?.card) return refill(why, []);
    const methods = methodsOf(info);
    const { explaining } = state;
    const classes = info.classes.map(({ name, label }) => ({ value: String(label), label: name }));
    const target = chooser(
      [{ value: "", label: `predicted: ${inspected.card.predicted_name}` }, ...classes],
      explaining.target === null ? "" : String(explaining.target),
      (value) => choose({ target: info.classes.find(({ label }) => String(label) === value)?.label ?? null }),
      { "aria-label": "Class to explain", "data-focus": "explained class" },
    );
    return refill(why, [
      info.no_methods && element("p", { class: "kps-hint" }, info.no_methods),
      methods.length > 0 && element(
        "fieldset",
        { class: "kps-methods" },
        element("legend", {}, "Attribution"),
        methods.map(({ name, title }) => element("label", {}, element("input", {
          type: "checkbox", checked: explaining.methods?.includes(name), "data-focus": `method ${name}`,
          on: { change: () => chooseMethod(name) },
        }), title)),
      ),
      element("div", { class: "kps-row" }, element("span", { class: "kps-field-name" }, "for"), target),
      element(
        "div",
        { class: "kps-row" },
        methods.length > 0 && button("Explain", actions.explain, { class: "kps-small kps-primary", title: "Explain (X)" }),
        info.rationale && button("Rationale", actions.rationalise, {
          class: "kps-small",
          title: "What would have to look otherwise for that class, or for the second likeliest one",
        }),
      ),
    ]);
  }

  function choose(patch) {
    store.set({ explaining: { ...state.explaining, ...patch } });
  }

  function chooseMethod(name) {
    const { methods } = state.explaining;
    choose({ methods: methods.includes(name) ? methods.filter((other) => other !== name) : [...methods, name] });
  }

  function chooseFirstMethods() {
    const { info, explaining } = state;
    if (info && !explaining.methods) choose({ methods: (info.default_methods ?? info.methods).slice(0, MOST_CHOSEN) });
  }

  function drawAnswers() {
    const { explanation, rationale: told } = state;
    refill(answers, [
      explanation && answer(
        explanation,
        explanation.targetName ? `What speaks for ${explanation.targetName}` : "Attribution",
      ),
      told && answer(
        { ...told, wide: true, titles: ["Before and after, and the change", "The way between"] },
        "Rationale",
      ),
    ]);
  }

  function answer({ pending, error, images, titles = [], notes = [], refused = [], words, wide }, title) {
    return element(
      "div",
      { class: "kps-answer" },
      element("h3", {}, title),
      pending && element("p", { class: "kps-hint" }, "Computing… the map can be used meanwhile."),
      error && element("p", { class: "kps-wrong" }, error),
      words && element("p", {}, words),
      element("div", { class: wide ? "kps-images kps-wide" : "kps-images" }, images.map((source, i) =>
        element("figure", {}, element("figcaption", {}, titles[i] ?? ""), enlargeable(
          element("img", { src: source, alt: titles[i] ?? title }),
          () => actions.enlarge({ source, title: [titles[i], title].filter(Boolean).join(" · "), smooth: true }),
        ),
          notes[i] && element("p", { class: "kps-hint" }, notes[i])))),
      refused.map(
        ({ title: method, error: reason }) => element("p", { class: "kps-hint" }, `${method}: ${reason}`),
      ),
    );
  }

  store.on(["inspected", "info"], drawCard);
  store.on(["inspected", "info", "explaining"], drawWhy);
  store.on(["info"], chooseFirstMethods);
  store.on(["explanation", "rationale"], drawAnswers);
  drawCard();
  return [section("Sample", [card]), nearSection, whySection];
}
