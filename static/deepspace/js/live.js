// Live streams in the browser: connect(), which loses nothing and sees nothing twice, and TextAssembler.

const FIRST_PAUSE = 500; // ms before the first new attempt; doubled each time
const LONGEST_PAUSE = 15000;
const SILENCE = 45000; // ms without a frame (the server pings every 15 s) after which a connection counts as dead
const REFUSED = [4400, 4401, 4404];

/**
 * Read the stream at `url` (a path such as "/ws/streams/<id>/") up to its "end" event, reconnecting when needed.
 *
 * onEvent({seq, type, at, data}) is called once for each event, in order.
 * onState(state) is called with "connecting", "live", "unavailable" (the server lives, its stream store does not),
 * "reconnecting", and last "ended" or "refused".
 * Returns {close()}.
 */
export function connect(url, { onEvent = () => {}, onState = () => {}, after = 0 } = {}) {
  let last = after;
  let failures = 0;
  let state = "";
  let socket = null;
  let timer = 0;
  let done = false;

  function tell(next) {
    if (next !== state) {
      state = next;
      onState(next);
    }
  }

  function finish(next) {
    done = true;
    clearTimeout(timer);
    tell(next);
  }

  function expectFrame() {
    clearTimeout(timer);
    timer = setTimeout(() => socket.close(), SILENCE);
  }

  function receive(message) {
    expectFrame();
    const frame = JSON.parse(message.data);
    if (frame.seq === null) {
      tell(frame.type === "unavailable" ? "unavailable" : "live");
      return;
    }
    failures = 0;
    if (frame.seq <= last) {
      return;
    }
    last = frame.seq;
    tell("live");
    onEvent(frame);
    if (frame.type === "end") {
      finish("ended");
    }
  }

  function closed(event) {
    clearTimeout(timer);
    if (done) {
      return;
    }
    if (event.code === 1000 || REFUSED.includes(event.code)) {
      finish(event.code === 1000 ? "ended" : "refused");
      return;
    }
    tell("reconnecting");
    const pause = Math.min(FIRST_PAUSE * 2 ** failures, LONGEST_PAUSE);
    failures += 1;
    // Jitter: after a restart of the server not every page comes back in the same moment.
    timer = setTimeout(open, pause * (0.5 + Math.random() / 2));
  }

  function open() {
    const address = new URL(url, window.location.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.searchParams.set("after", String(last));
    const mine = new WebSocket(address);
    socket = mine;
    mine.addEventListener("open", () => {
      tell("live");
      expectFrame();
    });
    mine.addEventListener("message", (message) => socket === mine && !done && receive(message));
    mine.addEventListener("close", (event) => socket === mine && closed(event));
  }

  tell("connecting");
  open();
  return {
    close() {
      done = true;
      clearTimeout(timer);
      socket.close();
    },
  };
}

/** The text of each step, put together from "delta" and "restart" events; applying one twice changes nothing. */
export class TextAssembler {
  #steps = new Map();

  /** Apply an event; returns the step whose text changed, or "" for other events. */
  apply({ type, data }) {
    if (type === "restart") {
      this.#steps.set(data.step, { text: "", length: 0 });
      return data.step;
    }
    if (type !== "delta") {
      return "";
    }
    const before = this.#steps.get(data.step) ?? { text: "", length: 0 };
    // Offsets count code points; a string's own length counts UTF-16 units.
    const kept = data.offset >= before.length ? before.text : Array.from(before.text).slice(0, data.offset).join("");
    const length = Math.min(data.offset, before.length) + Array.from(data.text).length;
    this.#steps.set(data.step, { text: kept + data.text, length });
    return data.step;
  }

  /** Return the text of a step so far. */
  text(step) {
    return this.#steps.get(step)?.text ?? "";
  }
}
