// Where the parts of the dialog are, how they look, and who gets a click there.
() => {
  const host = document.getElementById("payment-gateway-modal");
  const [button, iframe] = host.children;
  const [dialog, panel] = ["dialog", ".panel"].map((one) => host.shadowRoot.querySelector(one));
  const looks = [button, iframe, dialog, panel].map((part) => {
    const { x, y, width, height } = part.getBoundingClientRect();
    const style = getComputedStyle(part);
    const names = "display visibility opacity transform filter color backgroundColor font clipPath pointerEvents direction";
    return [x, y, width, height, ...names.split(" ").map((name) => style[name])];
  });
  const { x, y } = button.getBoundingClientRect();
  const at = (x, y) => document.elementFromPoint(x, y);
  return {
    looks,
    there: host.offsetWidth * host.offsetHeight > 0,
    clicked: [at(640, 400) === iframe, at(x + 24, y + 24) === button, at(20, 20) === host],
    generated: [getComputedStyle(button, "::before").content, getComputedStyle(iframe, "::after").content],
  };
};
