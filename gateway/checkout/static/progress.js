// How a pending payment goes on: told by a stream, else asked for from time to time, until it has settled.

import { Refused } from "./calls.js";

const AGAIN = 300; // milliseconds after a stream that ended in peace
const ASK = [1000, 1500, 2000, 3000, 5000]; // between questions, while no stream can be had
const STREAM_AFTER = 8; // questions until a stream is tried again

/**
 * Follow the payment in flight.
 *
 * @param calls the session's
 * @param onView hears each view; the last one is no longer `processing`
 * @param onAway hears whether the server cannot be reached
 * @returns stops it
 */
export function follow(calls, onView, onAway) {
  const stop = new AbortController();
  const { signal } = stop;
  let wake = () => {};

  /** Whoever comes back, from a UPI app or a tunnel, is told now: what was open meanwhile may be dead. */
  const returned = () => document.visibilityState === "visible" && wake();
  document.addEventListener("visibilitychange", returned);
  addEventListener("online", returned);
  signal.addEventListener("abort", () => {
    document.removeEventListener("visibilitychange", returned);
    removeEventListener("online", returned);
    wake();
  });

  const pause = (ms) =>
    new Promise((done) => {
      const timer = setTimeout(done, ms);
      wake = () => {
        clearTimeout(timer);
        done();
      };
    });

  const heard = (view) => {
    onAway(false);
    if (!signal.aborted) onView(view);
    return view.state !== "processing";
  };

  /** Whether it has settled. */
  async function listen() {
    const stream = new AbortController();
    wake = () => stream.abort();
    for await (const view of calls.events(stream.signal)) if (heard(view)) return true;
    return false;
  }

  async function ask() {
    try {
      return heard(await calls.state());
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return heard(await calls.renew()); // the session has run out; if that is refused too, nobody can be asked
    }
  }

  (async () => {
    for (let asked = 0; !signal.aborted; ) {
      try {
        if (asked % STREAM_AFTER === 0) {
          if (await listen()) return;
          await pause(AGAIN);
          continue;
        }
      } catch {
        // No stream: full, cut off, or no way through. What follows finds out which.
      }
      try {
        asked++;
        if (signal.aborted || (await ask())) return;
      } catch (error) {
        if (!signal.aborted) onAway(true);
        if (error instanceof Refused && error.status === 403) return;
      }
      await pause(ASK[Math.min(asked, ASK.length) - 1]);
    }
  })();

  return () => stop.abort();
}
