// What every page does: menus close, copy buttons copy, dangerous forms ask, local times read well.

const closeMenus = (except) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (menu !== except) menu.open = false;
  }
};

document.addEventListener("click", (event) => {
  closeMenus(event.target.closest("details.menu"));
  const copy = event.target.closest("[data-copy]");
  if (copy) copyFrom(copy);
  event.target.closest("[data-close-toast]")?.closest("[data-toast]").remove();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details.menu[open]");
  closeMenus();
  menu?.querySelector("summary")?.focus();
});

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// data-copy names the element to copy; data-copied is the word shown afterwards.
async function copyFrom(button) {
  const source = document.querySelector(button.dataset.copy);
  await navigator.clipboard.writeText(source.value ?? source.textContent.trim());
  if (button.dataset.copied) toast(button.dataset.copied);
}

export function toast(text, level = "info") {
  const item = document.createElement("div");
  item.className = `toast-item toast-item--${level}`;
  item.textContent = text;
  document.getElementById("toasts").append(item);
  setTimeout(() => item.remove(), 5000);
}

const localTime = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
export function localizeTimes(scope) {
  for (const time of scope.querySelectorAll("time[datetime]")) {
    time.textContent = localTime.format(new Date(time.dateTime));
  }
}
localizeTimes(document);
document.addEventListener("htmx:load", (event) => localizeTimes(event.target));
document.addEventListener("htmx:responseError", () => {
  const text = document.body.dataset.errorText;
  if (text) toast(text, "error");
});
