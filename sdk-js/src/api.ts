/** Open Ledgate's checkout in a merchant's page: `new PaymentGateway({ key, orderId }).open()`. */
import { readOptions } from "./options.js";
import { begin } from "./session.js";

/** What the shopper need not type again. It goes to the frame in a message, never in an address. */
export interface Prefill {
  name?: string | undefined;
  email?: string | undefined;
  contact?: string | undefined;
  vpa?: string | undefined;
}

/** A payment that succeeded. Ship on the webhook's word: what runs in a browser can be made to say anything. */
export interface PaymentSuccess {
  paymentId: string;
  orderId: string;
  status: string;
}

/** A try that failed; the shopper may try again in the same dialog. Without `paymentId`, no payment was started. */
export interface PaymentFailure {
  code: string;
  description: string;
  paymentId?: string;
}

export interface PaymentGatewayOptions {
  /** Your publishable key, such as `key_test_abc123`. */
  key: string;
  /** The order to pay, or a reference of yours. */
  orderId: string;
  /** Minor units (paise). Shown at most: the order decides what is paid. */
  amount?: number | undefined;
  /** Your shop's name: the dialog's title. */
  name?: string | undefined;
  description?: string | undefined;
  /** Address of your logo; relative ones are taken from the page. */
  image?: string | undefined;
  prefill?: Prefill | undefined;
  /** `color` is a hex colour, `#0a7` or `#00aa77`. */
  theme?: { color?: string | undefined } | undefined;
  /** The hosted page, such as `https://pay.example/checkout`; needed where the SDK did not come from there. */
  checkoutUrl?: string | undefined;
  /** The page's CSP nonce, for browsers without constructed style sheets. */
  nonce?: string | undefined;
  /** Once at most each time the checkout is open. */
  onSuccess?: ((payment: PaymentSuccess) => void) | undefined;
  /** Once for each payment that failed. */
  onFailure?: ((failure: PaymentFailure) => void) | undefined;
  /** After the dialog is gone, whoever closed it. */
  onClose?: (() => void) | undefined;
}

/**
 * A checkout of one order.
 *
 * @throws Error that names the option that is missing or wrong.
 */
export class PaymentGateway {
  /** The SDK's version. */
  static version: string;

  /** Show the checkout. One that is open already keeps its state; that of another instance is closed first. */
  readonly open: () => void;

  /** Take the checkout away, with everything it put into the page. Does nothing when it is not open. */
  readonly close: () => void;

  constructor(options: PaymentGatewayOptions) {
    const settings = readOptions(options);
    let running: ReturnType<typeof begin> | undefined;
    this.open = () => {
      if (running) return running.focus();
      running = begin(settings, () => (running = undefined));
    };
    this.close = () => running?.close();
  }
}

PaymentGateway.version = VERSION;

export default PaymentGateway;
