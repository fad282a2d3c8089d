// Events and replays open in a dialog at the side; without this script each is a page of its own.

const dialog = () => document.getElementById("run-dialog");

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== "run-dialog-body") return;
  if (!dialog().open) dialog().showModal();
  event.target.querySelector("h2")?.focus();
});

// A click beside the sheet closes it, as Escape does.
document.addEventListener("click", (event) => {
  if (event.target === dialog()) dialog().close();
});

// Somebody is writing a note: news can wait, what they write cannot be written again.
document.addEventListener("htmx:beforeSwap", (event) => {
  const field = document.activeElement;
  const isNews = event.detail.requestConfig.verb === "get" && event.target.matches?.("[data-run-panel]");
  if (isNews && field?.name === "note" && field.value && event.target.contains(field)) event.detail.shouldSwap = false;
});
