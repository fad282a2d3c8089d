// Presets fill the field in without loading the page anew; a form that pays is sent once.

document.addEventListener("click", (event) => {
  const preset = event.target.closest("[data-amount]");
  const field = document.querySelector("input[name=amount]");
  if (!preset || !field) return;
  event.preventDefault();
  field.value = preset.dataset.amount;
  field.focus();
});

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "true";
  });
}
