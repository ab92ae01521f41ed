/* == polluted */
for (const name of `
  0 1 amount attributes capture checkoutUrl childList class code color configurable data delegatesFocus detail enumerable
  exports focusVisible get height image key length mode module name nonce onClose once options passive paymentId prefill
  preventScroll set sheet signal slot slotAssignment stack status theme then toJSON type value version writable
`.trim().split(/\s+/))
  Object.prototype[name] = "polluted";
Array.prototype.toJSON = () => "polluted";
Array.prototype.extra = String.prototype.extra = Function.prototype.extra = "polluted";

/* == overridden */
const broken = () => {
  throw Error("overridden");
};
for (const name of "push pop slice splice concat map filter forEach find indexOf includes join some reduce".split(" "))
  Array.prototype[name] = broken;
window.addEventListener = window.removeEventListener = document.addEventListener = broken;
window.postMessage = window.dispatchEvent = broken;
window.JSON = { parse: broken, stringify: broken };
window.fetch = window.eval = window.Proxy = window.Map = window.Set = window.Promise = broken;

/* == overridden after the SDK has loaded */
EventTarget.prototype.addEventListener = EventTarget.prototype.removeEventListener = broken;
Function.prototype.call = Function.prototype.apply = Function.prototype.bind = broken;
window.setTimeout = window.clearTimeout = window.setInterval = broken;
Object.prototype.hasOwnProperty = Reflect.apply = broken;

/* == broken iterators */
Array.prototype[Symbol.iterator] = () => {
  throw Error("overridden");
};

/* == drive */
// Writes what it sees into the title: a driver's own scripts would stumble over such a page.
const seen = (what) => (document.title += " " + what);
const made = new PaymentGateway({
  key: "key_test_abc123",
  orderId: "says_success",
  onSuccess: ({ paymentId, orderId, status }) => {
    seen(paymentId + "/" + orderId + "/" + status);
    made.close();
  },
  onFailure: () => seen("failed"),
  onClose: () => seen("closed"),
});
made.open();
