// A run as it happens: its steps, and its text word by word; then the server's own rendering of what came of it.

import { connect, TextAssembler } from "deepspace/live.js";
import { renderMarkdown } from "./markdown.js";

const views = new WeakMap();
const told = new Map(); // up to which event a stream has made its page show that the run rests
const seen = new Map(); // how often a stream was shown, so that a page that lags behind is not asked in a loop
const stepNames = JSON.parse(document.getElementById("step-names")?.textContent ?? "{}");

class RunView {
  #assembler = new TextAssembler();
  #steps = new Map();
  #current = "";
  #frame = 0;
  #ended = false;

  constructor(root) {
    this.root = root;
    this.words = root.dataset;
    this.status = root.querySelector("[data-run-status]");
    this.list = root.querySelector("[data-run-steps]");
    this.output = root.querySelector("[data-run-output]");
    this.findings = root.querySelector("[data-run-findings]");
    this.said = this.words.textWaiting;
    const stream = this.words.stream;
    seen.set(stream, (seen.get(stream) ?? 0) + 1);
    this.connection = connect(stream, {
      onEvent: (event) => this.#receive(event),
      onState: (state) => this.#connectionIs(state),
    });
  }

  close() {
    clearTimeout(this.soon);
    this.connection.close();
    cancelAnimationFrame(this.#frame);
  }

  #receive(event) {
    const changed = this.#assembler.apply(event);
    if (changed) {
      this.#show(changed);
    }
    const handler = this.#handlers[event.type];
    handler?.(event.data, event);
  }

  #handlers = {
    "run.started": ({ steps }) => this.#begin(steps),
    "step.started": ({ step }, event) => {
      if (this.words.parked !== undefined) this.#news(event);
      this.#mark(step, "running");
      this.#say(this.#position(step));
    },
    "run.waiting": (_data, event) => this.#parked(event),
    "run.paused": (_data, event) => this.#parked(event),
    restart: () => this.#say(this.words.textRestarted),
    "step.completed": (data) => this.#completed(data),
    "step.failed": ({ step, error }) => {
      this.#mark(step, "failed");
      this.#say(error?.message ?? this.words.textFailed);
    },
    "run.completed": () => this.#finish(this.words.textDone),
    "run.failed": ({ error }) => this.#finish(error?.message ?? this.words.textFailed),
    end: () => this.#finish(this.said),
  };

  #parked(event) {
    this.#say(this.words.textParked);
    this.#news(event);
  }

  // A stream is read from its beginning whenever the page is drawn: news is what came after the page was read. A card
  // does not show what its run waits for.
  #news({ seq, at }) {
    const known = told.get(this.words.stream) ?? 0;
    const { readAt } = this.words;
    if (!readAt || seq <= known || Date.parse(at) < Date.parse(readAt)) return;
    told.set(this.words.stream, seq);
    this.#refreshSoon();
  }

  #refreshSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.#refresh(), 150);
  }

  #begin(steps) {
    if (this.#steps.size) return; // a worker took the run over and began its account again
    for (const { key, action } of steps) {
      const item = document.createElement("li");
      item.className = "run__step";
      item.textContent = stepNames[action] ?? action;
      this.#steps.set(key, { item, name: item.textContent });
      this.list.append(item);
    }
  }

  #position(step) {
    const keys = [...this.#steps.keys()];
    const entry = this.#steps.get(step);
    return this.words.textStep
      .replace("{position}", keys.indexOf(step) + 1)
      .replace("{count}", keys.length)
      .replace("{name}", entry?.name ?? step);
  }

  #mark(step, state) {
    const entry = this.#steps.get(step);
    if (entry) entry.item.className = `run__step run__step--${state}`;
  }

  #completed({ step, output, tokens, cost_usd: cost }) {
    this.#mark(step, "done");
    const entry = this.#steps.get(step);
    if (!entry) return;
    const facts = [];
    if (Array.isArray(output?.findings)) {
      facts.push(this.words.textFindings.replace("{count}", output.findings.length));
      if (output.target !== "brief") this.#list(output.findings);
    }
    if (tokens) facts.push(this.words.textTokens.replace("{count}", tokens));
    if (Number(cost)) facts.push(`$${Number(cost).toFixed(6)}`);
    entry.item.textContent = facts.length ? `${entry.name} (${facts.join(", ")})` : entry.name;
  }

  #list(findings) {
    const items = findings.map(({ code, message, line, col }) => {
      const item = document.createElement("li");
      const tag = document.createElement("span");
      tag.className = "tag";
      tag.textContent = code;
      const place = line ? ` (${this.words.textPlace.replace("{line}", line).replace("{column}", col)})` : "";
      item.append(tag, ` ${message}${place}`);
      return item;
    });
    this.findings.replaceChildren(...items);
  }

  // However many deltas come, the text is rendered once a frame.
  #show(step) {
    this.#current = step;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      const { scrollTop, scrollHeight, clientHeight } = this.output;
      const atEnd = scrollHeight - scrollTop - clientHeight < 40;
      renderMarkdown(this.output, this.#assembler.text(this.#current));
      if (atEnd) this.output.scrollTop = this.output.scrollHeight;
    });
  }

  #say(text) {
    this.said = text;
    this.status.textContent = text;
  }

  #connectionIs(state) {
    this.root.dataset.state = state;
    const words = {
      connecting: this.words.textConnecting,
      reconnecting: this.words.textReconnecting,
      unavailable: this.words.textUnavailable,
    };
    this.status.textContent = words[state] ?? this.said;
    if (state === "ended" || state === "refused") this.#finish(this.said);
  }

  #finish(text) {
    this.#say(text);
    if (this.#ended) return;
    this.#ended = true;
    this.output.setAttribute("aria-busy", "false");
    const pause = 150 * 2 ** Math.min(seen.get(this.words.stream) - 1, 6);
    setTimeout(() => this.#refresh(), pause);
  }

  #refresh() {
    if (!this.root.isConnected) return;
    const target = this.root.closest(".task-card") ?? document.getElementById("task-panel");
    window.htmx.ajax("GET", this.words.refresh, { target, swap: "outerHTML" });
    window.htmx.trigger(document.body, "wallet-changed");
  }
}

function attach(scope) {
  const roots = scope.matches?.("[data-run]") ? [scope] : scope.querySelectorAll("[data-run]");
  for (const root of roots) {
    if (!views.has(root)) views.set(root, new RunView(root));
  }
}

// After a jump to #task-… the browser takes the focus away once it has loaded the page: so after that.
function focusTask() {
  const card = document.querySelector(".task-card--focus");
  if (document.activeElement !== document.body) return;
  card?.scrollIntoView({ block: "nearest" });
  card?.querySelector("[data-advance]")?.focus({ preventScroll: true });
}

document.addEventListener("htmx:load", (event) => attach(event.target));
document.addEventListener("htmx:beforeCleanupElement", (event) => {
  const root = event.target;
  if (root instanceof Element) views.get(root)?.close();
});
// Script modules run after the page is read; htmx may have announced it before.
attach(document);
const whenLoaded = () => setTimeout(focusTask);
if (document.readyState === "complete") whenLoaded();
else window.addEventListener("load", whenLoaded);
