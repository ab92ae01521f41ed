// The merchant's colour, made readable: what stands on it, and what is written in it on paper, light and dark.

const PAPER = { light: [255, 255, 255], dark: [23, 27, 34] };
const WHITE = [255, 255, 255];
const INK = [16, 20, 28];
const READABLE = 4.5; // WCAG 2.2, 1.4.3

const luminance = (color) => {
  const [r, g, b] = color.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

export function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

export function parse(text) {
  const found = /^#([\da-f]{3}|[\da-f]{6})$/i.exec(text || "");
  if (!found) return null;
  const hex = found[1].length === 3 ? [...found[1]].map((c) => c + c).join("") : found[1];
  return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

const mix = (color, other, share) => color.map((c, i) => Math.round(c + (other[i] - c) * share));
const css = (color) => `rgb(${color.join(" ")})`;

/** The nearest tone of a colour that can be read on a ground. */
export function readable(color, ground) {
  const towards = luminance(ground) > 0.2 ? [0, 0, 0] : WHITE;
  for (let share = 0; share < 1; share += 0.05) {
    const tone = mix(color, towards, share);
    if (contrast(tone, ground) >= READABLE) return tone;
  }
  return towards;
}

/** Set the page's colours; through the style sheet's variables, which no policy forbids. */
export function wear(text) {
  const color = parse(text);
  if (!color) return;
  const on = contrast(WHITE, color) >= contrast(INK, color) ? WHITE : INK;
  // Neither reads on a middle tone: then the colour yields, not the text.
  const button = contrast(on, color) >= READABLE ? color : readable(color, on);
  const { style } = document.documentElement;
  style.setProperty("--accent", css(button));
  style.setProperty("--accent-over", css(mix(button, on === WHITE ? [0, 0, 0] : WHITE, 0.12)));
  style.setProperty("--on-accent", css(on));
  style.setProperty("--accent-light", css(readable(button, PAPER.light)));
  style.setProperty("--accent-dark", css(readable(button, PAPER.dark)));
}
