/** The state of one view, as one object whose parts can be listened to. */

/**
 * Makes a store.
 *
 * @param {Object} initial
 * @returns {{state: Object, set: function(Object): void, on: function(string[], function(Object): void): function(): void}}
 *   `set` takes the parts that change; listeners of these are called once each, after all are set, and get the
 *   state. A listener may set more; that is told after it has returned.
 */
export function createStore(initial) {
  const state = { ...initial };
  const listeners = new Set();
  const waiting = [];
  let telling = false;

  function tell() {
    telling = true;
    try {
      while (waiting.length) {
        const changed = waiting.shift();
        for (const listener of [...listeners]) {
          if (listeners.has(listener) && listener.keys.some((key) => changed.has(key))) listener.call(state);
        }
      }
    } finally {
      telling = false;
    }
  }

  return {
    state,
    set(patch) {
      const changed = new Set();
      for (const [key, value] of Object.entries(patch)) {
        if (Object.is(state[key], value)) continue;
        state[key] = value;
        changed.add(key);
      }
      if (!changed.size) return;
      waiting.push(changed);
      if (!telling) tell();
    },
    on(keys, call) {
      const listener = { keys, call };
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** What a view knows before the server has answered. */
export function initialState() {
  return {
    connection: "connecting",
    tries: 0,
    refusal: null,
    info: null,
    plan: { revision: -1, entries: [], can_undo: false, can_redo: false, error: null },
    round: null,
    rounds: [],
    job: null,
    comparison: false,
    positions: { map: null, targets: null, moved: null, flags: null, live: null, revision: -1 },
    shown: "edited",
    tool: "pan",
    picking: false,
    colour: "label",
    column: null,
    labelCodes: null,
    predictionCodes: null,
    confusions: null,
    hidden: new Set(),
    outlines: false,
    selection: null,
    hover: null,
    inspected: null,
    explanation: null,
    rationale: null,
    explaining: { methods: null, target: null },
    enlarged: null,
    tab: "edit",
    sheet: "half",
    ghosts: null,
    suggestions: null,
    proposals: null,
    check: null,
    news: null,
    live: { arms: {}, watch: "PLI" },
    retrain: {},
    lastOptions: null,
    unfinished: null,
    compared: null,
    comparing: false,
    deciding: null,
    busy: 0,
  };
}
