// All of a page that the checkout could have changed.
() => ({
  html: document.documentElement.outerHTML,
  sheets: document.adoptedStyleSheets.length,
  at: [scrollX, scrollY],
  focus: document.activeElement.id,
  history: history.length,
  frames: frames.length,
  kept: { ...kept },
  overflow: [document.documentElement, document.body].map((one) => getComputedStyle(one).overflow),
});
