// What a check found, at the places that it found it for.

import { roundedBox, SMALL_FONT } from "./badge.js";
import { screenPoint } from "./camera.js";
import { isFreePlace, LABEL_STEPS } from "./labels.js";

const SIGN = 20; // CSS pixels across
const LINE = 24; // from one mark's words to the next ones below

/**
 * The marks in view, with their words where they cover neither each other nor another mark's sign.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {{camera: object, marks: object[]}} scene
 * @returns {object[]} Each with `sign`, its place on the screen, `left` and `middle` of its words, their `width`, and
 *   `boxes`, what it covers.
 */
export function placedMarks(context, { camera, marks }) {
  context.font = SMALL_FONT;
  const seen = marks
    .filter((mark, k) => marks.findIndex((other) => isAlike(mark, other)) === k)
    .map((mark) => ({ ...mark, sign: screenPoint(camera, mark.at) }))
    .filter(({ sign: [x, y] }) => x >= -SIGN && y >= -SIGN && x <= camera.width + SIGN && y <= camera.height + SIGN);
  const taken = seen.map(({ sign }) => ({ at: sign, width: SIGN }));
  return seen.map((mark, k) => {
    const { text, sign: [x, y] } = mark;
    if (!text) return { ...mark, boxes: [taken[k]] };
    const width = context.measureText(text).width + 14;
    const left = x + 6 + width > camera.width ? x - 10 - width : x + 10;
    const boxAt = (lines) => ({ at: [left + width / 2, y + lines * LINE], width });
    const others = taken.filter((_, other) => other !== k);
    const free = LABEL_STEPS.find((lines) => isFreePlace(boxAt(lines), others)) ?? 0;
    const box = boxAt(free);
    taken.push(box);
    return { ...mark, left, middle: box.at[1], width, boxes: [taken[k], box] };
  });
}

/** Whether two moves of one selection have the same to tell. */
function isAlike(one, other) {
  return one.text === other.text && one.kind === other.kind && one.at.every((part, k) => part === other.at[k]);
}

/** A collision is a triangle with an exclamation mark, a note a dot; both with their words beside. */
export function paintMark(context, theme, { text, kind, sign: [x, y], left, middle, width }) {
  const color = kind === "collision" ? theme.warning : theme.accent;
  if (text) paintWords(context, theme, { text, color, left, middle, width });
  context.beginPath();
  if (kind === "collision") {
    context.moveTo(x, y - 10);
    context.lineTo(x + 10, y + 8);
    context.lineTo(x - 10, y + 8);
    context.closePath();
  } else {
    context.arc(x, y, 5, 0, 2 * Math.PI);
  }
  context.lineWidth = 3;
  context.strokeStyle = theme.background;
  context.stroke();
  context.fillStyle = color;
  context.fill();
  if (kind === "collision") {
    context.fillStyle = theme.background;
    context.fillRect(x - 1, y - 4, 2, 6);
    context.fillRect(x - 1, y + 4, 2, 2);
  }
}

function paintWords(context, theme, { text, color, left, middle, width }) {
  context.font = SMALL_FONT;
  context.textAlign = "left";
  context.textBaseline = "middle";
  roundedBox(context, left, middle - 11, width, 22, 5);
  context.fillStyle = theme.background;
  context.fill();
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.stroke();
  context.fillStyle = theme.ink;
  context.fillText(text, left + 7, middle + 0.5);
}
