// Dragging and pinching a picture. While fingers are down it is only moved along; what they meant is told when they go.

const STEADY = 8; // pixels in which a finger may tremble and still tap

/** `follow({ east, south, factor, at })` while it lasts, `done(…)` the same at its end. */
export function onGesture(element, { follow, done }) {
  const fingers = new Map();
  let begin = null; // the middle of the fingers and their distance, when the number of them last changed
  let moved = null;

  const place = ({ clientX, clientY }) => {
    const { left, top } = element.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };

  function now() {
    const [a, b = a] = [...fingers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
  }

  function settle() {
    if (moved) done(moved);
    moved = null;
  }

  element.onpointerdown = (event) => {
    if (event.button !== 0 || fingers.size === 2) return;
    settle();
    fingers.set(event.pointerId, place(event));
    begin = now();
  };
  element.onpointermove = (event) => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, place(event));
    const { x, y, apart } = now();
    const [east, south] = [x - begin.x, y - begin.y];
    if (!moved && fingers.size === 1 && Math.hypot(east, south) < STEADY) return;
    if (!moved) element.setPointerCapture(event.pointerId); // so that no pin below takes it for a tap
    moved = { east, south, factor: begin.apart ? apart / begin.apart : 1, at: begin };
    follow(moved);
  };
  element.onpointerup = element.onpointercancel = (event) => {
    if (!fingers.has(event.pointerId)) return;
    settle();
    fingers.delete(event.pointerId);
    begin = fingers.size ? now() : null;
  };
}
