// Changes of the selection by keys.

import { scaleAffine, separateAffines, shiftAffine, turnAffine } from "./geometry.js";
import { changeWords } from "./hands.js";

const MOVE_STEP = 8; // CSS pixels that a selection is moved by one press
const SIZE_STEP = 1.05;
const TURN_STEP = 5; // degrees
const PAUSE_MILLISECONDS = 1000; // without a press, after which a change is kept
const UNCHANGED = {
  drag: { by: [0, 0] }, scale: { factor: 1 }, rotate: { degrees: 0 }, separate: { distance: null },
};

/**
 * A change of the selection made press by press: one step of the plan, kept with Enter or by a pause.
 *
 * @param {object} map What `createScatter` gives gestures.
 */
export function createNudge(map) {
  let kind = null;
  let way = [0, 0];
  let steps = 0;
  let pause = null;
  const active = () => kind !== null;

  function start(next) {
    if (!map.selected.rows.length) return false;
    if (kind !== next) {
      keep();
      kind = next;
      way = [0, 0];
      steps = 0;
    }
    return true;
  }
  /** The event's name, what it says, and what it does to each group. */
  function change() {
    const { centre, groups } = map.selected;
    if (kind === "drag") return ["drag", { by: way }, [shiftAffine(way)]];
    if (kind === "scale") return ["scale", { factor: SIZE_STEP ** steps }, [scaleAffine(SIZE_STEP ** steps, centre)]];
    if (kind === "rotate") return ["rotate", { degrees: TURN_STEP * steps }, [turnAffine(TURN_STEP * steps, centre)]];
    const [first, second] = groups.map((group) => group.centre);
    const distance = Math.hypot(second[0] - first[0], second[1] - first[1]) * SIZE_STEP ** steps;
    return ["separate", { distance }, separateAffines(first, second, distance) ?? []];
  }
  function show() {
    const [name, what, affines] = change();
    map.carry(name, what, affines);
    map.say(`${changeWords(name, what)} · Enter keeps it, Escape gives it up`);
    clearTimeout(pause);
    pause = setTimeout(keep, PAUSE_MILLISECONDS);
    return true;
  }
  function end() {
    clearTimeout(pause);
    kind = null;
    map.say("");
  }
  function keep() {
    if (!active()) return false;
    const last = map.selected.rows.length ? change() : null; // another page may have taken the selection away
    end();
    if (last) map.drop(...last);
    return true;
  }
  function giveUp() {
    if (!active()) return false;
    const [name] = change();
    end();
    map.putBack(name, UNCHANGED[name]);
    return true;
  }
  function step(next, by) {
    if (!start(next)) return false;
    steps += by;
    return show();
  }
  return {
    active,
    keep,
    giveUp,
    scale: (by) => step("scale", by),
    turn: (by) => step("rotate", by),
    arrow(dx, dy) {
      if (map.tool === "separate" && map.selected.groups.length === 2) return step("separate", dx - dy);
      if (!start("drag")) return false;
      way = [way[0] + (dx * MOVE_STEP) / map.camera.scale, way[1] - (dy * MOVE_STEP) / map.camera.scale];
      return show();
    },
    onHandle(handle, by) {
      const { size, turn } = map.handles;
      return step(handle === size ? "scale" : handle === turn ? "rotate" : "separate", by);
    },
  };
}
