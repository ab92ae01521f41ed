import required = require("@ledgate/checkout");
new required.PaymentGateway({ key: "k", orderId: "o" }).open();
