// What the callbacks were told, in order; `buy(orderId, more)` opens the checkout.
window.told = [];
const tell = (kind) => (what) => told.push(what === undefined ? [kind] : [kind, what]);
window.buy = (orderId, more) => {
  window.checkout = new PaymentGateway({
    key: "key_test_abc123",
    orderId,
    name: "Corner Shop",
    description: "Two chairs",
    onSuccess: tell("success"),
    onFailure: tell("failure"),
    onClose: tell("close"),
    ...more,
  });
  checkout.open();
};
