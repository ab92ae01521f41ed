// Counts the listeners and timers that are kept.
const { addEventListener, removeEventListener } = EventTarget.prototype;
const { setTimeout: later, clearTimeout: notLater } = window;
const timers = new Set();
window.kept = { listeners: 0, timers: 0 };
const count = () => (kept.timers = timers.size);
EventTarget.prototype.addEventListener = function (...given) {
  kept.listeners++;
  return addEventListener.apply(this, given);
};
EventTarget.prototype.removeEventListener = function (...given) {
  kept.listeners--;
  return removeEventListener.apply(this, given);
};
window.setTimeout = (does, ...more) => {
  const id = later(() => (timers.delete(id), count(), does()), ...more);
  timers.add(id);
  count();
  return id;
};
window.clearTimeout = (id) => (timers.delete(id), count(), notLater(id));
