// The Task Hub's form: Enter starts, the counter counts, an example fills in.

const form = document.querySelector("[data-hub]");
if (form) {
  const input = form.querySelector("textarea");
  const counter = form.querySelector("[data-count]");
  const value = form.querySelector("[data-count-value]");
  const limit = Number(input.dataset.limit);
  const number = new Intl.NumberFormat(document.documentElement.lang);

  const count = () => {
    // Code points, as the server counts; the cheap length decides whenever it can.
    const length = input.value.length > limit ? [...input.value].length : input.value.length;
    const over = length > limit;
    value.textContent = number.format(length);
    counter.classList.toggle("hub__count--over", over);
    input.setCustomValidity(over ? counter.dataset.tooLong : "");
  };

  input.addEventListener("input", count);
  input.addEventListener("keydown", (event) => {
    // While an input method is composing, Enter chooses its word.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", () => {
    form.querySelector("button").disabled = true;
  });
  // Coming back with the back button, the form can be sent again.
  window.addEventListener("pageshow", () => {
    form.querySelector("button").disabled = false;
  });

  for (const example of document.querySelectorAll("[data-example]")) {
    example.addEventListener("click", (event) => {
      event.preventDefault();
      input.value = example.textContent.trim();
      count();
      input.focus();
    });
  }

  count();
  input.setSelectionRange(input.value.length, input.value.length);
}
