// The page's calls. The session's token travels in a header: no cookie, which frames are not given, and no address.

/** The server understood and said no. */
export class Refused extends Error {
  constructor(status, error) {
    super(error.description);
    this.status = status;
    this.reason = error.reason || "";
    this.field = error.field || "";
  }
}

/** Nobody knows what became of the request. */
export class Unreachable extends Error {}

const PATIENCE = 20_000; // milliseconds for an answer
const SILENCE = 10_000; // milliseconds without a word, after which a stream is dead; the server speaks every 3 s

export class Calls {
  constructor(token) {
    this.token = token;
  }

  /** How the order stands. */
  state() {
    return this.#view("GET", "/checkout/state");
  }

  /** The same with a new token, also for one that has run out. */
  renew() {
    return this.#view("POST", "/checkout/session");
  }

  /** Pay. The same attempt again is the same payment. */
  async pay(request, attempt) {
    try {
      return await this.#pay(request, attempt);
    } catch (error) {
      if (!(error instanceof Refused) || error.reason !== "session_expired") throw error;
    }
    await this.renew();
    return this.#pay(request, attempt);
  }

  #pay(request, attempt) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": String(attempt) };
    return this.#view("POST", "/checkout/pay", headers, JSON.stringify(request));
  }

  /** A stream of views; ends by itself, when the payment has settled and also before. */
  async *events(signal) {
    const dead = new AbortController();
    const end = () => dead.abort();
    signal.addEventListener("abort", end);
    addEventListener("offline", end);
    let watchdog = setTimeout(end, PATIENCE);
    let reader;
    try {
      const answer = await this.#send("GET", "/checkout/events", {}, undefined, dead.signal);
      reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        clearTimeout(watchdog);
        watchdog = setTimeout(end, SILENCE);
        const { value, done } = await reader.read();
        if (done) return;
        const parts = (text + value).split("\n\n");
        text = parts.pop();
        for (const part of parts) {
          const data = part.split("\n").find((line) => line.startsWith("data: "));
          if (data) yield this.#heed(JSON.parse(data.slice(6)));
        }
      }
    } catch (error) {
      throw error instanceof Refused ? error : new Unreachable(String(error));
    } finally {
      clearTimeout(watchdog);
      signal.removeEventListener("abort", end);
      removeEventListener("offline", end);
      if (reader) reader.cancel().catch(() => {});
    }
  }

  async #view(method, path, headers, body) {
    const stop = new AbortController();
    const patience = setTimeout(() => stop.abort(), PATIENCE);
    try {
      const answer = await this.#send(method, path, headers, body, stop.signal);
      return this.#heed(await answer.json());
    } catch (error) {
      throw error instanceof Refused ? error : new Unreachable(String(error));
    } finally {
      clearTimeout(patience);
    }
  }

  async #send(method, path, headers, body, signal) {
    let answer;
    try {
      const all = { ...headers, "X-Checkout-Session": this.token };
      answer = await fetch(path, { method, headers: all, body, signal, cache: "no-store", credentials: "omit", redirect: "error" });
    } catch (error) {
      throw new Unreachable(String(error));
    }
    if (answer.ok) return answer;
    const said = await answer.json().catch(() => ({}));
    if (answer.status >= 500 || !said.error) throw new Unreachable(String(answer.status));
    throw new Refused(answer.status, said.error);
  }

  #heed(view) {
    this.token = view.session;
    return view;
  }
}
