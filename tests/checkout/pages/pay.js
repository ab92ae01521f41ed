// What the callbacks were told, in order; `pay(more)` opens a checkout of order_1.
const told = [];
const options = (more) => ({
  key: "key_test_abc123",
  orderId: "order_1",
  onSuccess: (payment) => told.push(["success", payment]),
  onFailure: (failure) => told.push(["failure", failure]),
  onClose: () => told.push(["close"]),
  ...more,
});
const pay = (more) => {
  const made = new PaymentGateway(options(more));
  made.open();
  return made;
};
