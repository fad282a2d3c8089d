// The editor of workflow documents: a problem's line is a button that leads to it.

const text = document.getElementById("document");

document.addEventListener("click", (event) => {
  const line = Number(event.target.closest("[data-line]")?.dataset.line);
  if (line) showLine(line);
});

function showLine(number) {
  const lines = text.value.split("\n");
  const start = lines.slice(0, number - 1).reduce((length, line) => length + line.length + 1, 0);
  text.focus();
  text.setSelectionRange(start, start + (lines[number - 1]?.length ?? 0));
  text.scrollTop = (number - 4) * (text.scrollHeight / lines.length);
}
