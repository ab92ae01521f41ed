/** The browser's own functions, taken when the SDK loads: what a page replaces afterwards does not reach us. */

const { addEventListener, removeEventListener } = EventTarget.prototype;
const { hasOwnProperty } = Object.prototype;
const { apply } = Reflect;

export const later = setTimeout;
export const notLater = clearTimeout;

/**
 * Hear an event until the function that comes back is called. Through the prototype, as `window.addEventListener` may be
 * anybody's.
 */
export function listen(target: EventTarget, type: string, heard: (event: never) => void, capture = false): () => void {
  apply(addEventListener, target, [type, heard, capture]);
  return () => apply(removeEventListener, target, [type, heard, capture]);
}

/** A property of the object or its class; what somebody hung on `Object.prototype` is nobody's wish. */
export function own(from: unknown, name: string): unknown {
  if (typeof from !== "object" || from === null) return undefined;
  if (name in Object.prototype && !apply(hasOwnProperty, from, [name])) return undefined;
  return (from as Record<string, unknown>)[name];
}
