// What is too wide scrolls in its own box: the keyboard must reach it, and a fading edge says that it goes on.
const BOXES = 'mjx-container[display="true"], span.math, .belamy-scroll, .highlight pre';

function mindBox(box) {
  // What is hidden in a formula, for assistive technology, may be wider than what is seen of it.
  const seen = box.querySelector(":scope mjx-math");
  const width = box.matches(".math, mjx-container") && seen ? seen.getBoundingClientRect().width : box.scrollWidth;
  const wide = width > box.clientWidth + 1;
  wide ? box.setAttribute("tabindex", "0") : box.removeAttribute("tabindex");
  const end = box.scrollLeft + box.clientWidth >= box.scrollWidth - 2;
  (box.matches(".belamy-scroll") ? box.parentElement : box).classList.toggle("goes-on", wide && !end);
  box.classList.toggle("scrolls", wide);
}

function mindBoxes() {
  document.querySelectorAll(BOXES).forEach(mindBox);
}

window.addEventListener("load", () => document.fonts.ready.then(mindBoxes));
window.addEventListener("resize", mindBoxes);
document.addEventListener("scroll", (event) => event.target.matches?.(BOXES) && mindBox(event.target), true);
document.addEventListener("toggle", mindBoxes, true);

// A formula is copied as the LaTeX that it was written in.
document.addEventListener("copy", (event) => {
  const selection = document.getSelection();
  if (!selection.rangeCount) return;
  const copied = selection.getRangeAt(0).cloneContents();
  const formulas = copied.querySelectorAll("mjx-container");
  if (!formulas.length) return;
  for (const formula of formulas) {
    const around = formula.hasAttribute("display") ? "\n$$\n" : "$";
    const latex = formula.querySelector("annotation")?.textContent ?? "";
    formula.replaceWith(around + latex + (around === "$" ? "$" : around));
  }
  const holder = document.createElement("div");
  holder.style.whiteSpace = "pre-wrap";
  holder.append(copied);
  document.body.append(holder);  // innerText knows lines only of what is laid out
  event.clipboardData.setData("text/plain", holder.innerText);
  holder.remove();
  event.preventDefault();
});
