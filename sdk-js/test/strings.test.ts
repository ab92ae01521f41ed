import { expect, it } from "vitest";
import { strings } from "../src/strings.js";

it.each([
  ["hi", "hi"],
  ["hi-IN", "hi"],
  ["HI", "hi"],
  ["en-IN", "en"],
  ["hil", "en"],
  ["", "en"],
])("%s is answered in %s", (asked, given) => {
  expect(strings(asked).lang).toBe(given);
});
