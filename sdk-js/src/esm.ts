/** The module build: `import { PaymentGateway } from "@ledgate/checkout"`, or straight from the checkout's origin. */
import { source } from "./address.js";

source.url = import.meta.url;

export { PaymentGateway, PaymentGateway as default } from "./api.js";
