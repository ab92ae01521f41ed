// There is nothing to pay here: a frame's shop is told at once, instead of waiting for a form that will not come.

import { originAround } from "./parent.js";

const { code, text } = document.querySelector("main").dataset;
const around = window.parent === window ? "" : originAround();
// Whose page it is nobody knows, as there is no merchant; what is said is no secret.
const tell = (type, data) => around && window.parent.postMessage({ type, data }, around);

tell("checkout_ready");
tell("checkout_resize", { height: 320 });
tell("payment_failed", { code, description: text });
addEventListener("keydown", (event) => {
  if (event.key === "Escape") tell("close_modal");
});
document.documentElement.dataset.script = "ready";
