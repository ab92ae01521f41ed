import Default, {
  PaymentGateway,
  type PaymentFailure,
  type PaymentGatewayOptions,
  type PaymentSuccess,
  type Prefill,
} from "@ledgate/checkout";

const prefill: Prefill = { name: "n", email: "e", contact: "c", vpa: "v" };
const options: PaymentGatewayOptions = {
  key: "k",
  orderId: "o",
  amount: 1,
  name: "n",
  description: "d",
  image: "i",
  theme: { color: "#0a7" },
  prefill,
  checkoutUrl: "https://pay.example/checkout",
  nonce: "n",
  onSuccess: ({ paymentId, orderId, status }: PaymentSuccess) => void [paymentId, orderId, status].join(),
  onFailure: ({ code, paymentId }: PaymentFailure) => void (paymentId?.length ?? code.length),
  onClose: () => {},
};
const made: PaymentGateway = new Default(options);
made.open();
made.close();
PaymentGateway.version.length;
// @ts-expect-error the order is required
new PaymentGateway({ key: "k" });
// @ts-expect-error minor units are a number
new PaymentGateway({ key: "k", orderId: "o", amount: "500.00" });
// @ts-expect-error no such option
new PaymentGateway({ key: "k", orderId: "o", onSucess() {} });
