// Formulas wider than the page scroll; the keyboard must reach those that do.
function reachWideFormulas() {
  for (const formula of document.querySelectorAll("mjx-container[display]")) {
    const wide = formula.scrollWidth > formula.clientWidth;
    wide ? formula.setAttribute("tabindex", "0") : formula.removeAttribute("tabindex");
  }
}

window.addEventListener("load", () => {
  if (!window.MathJax?.startup) return;
  MathJax.startup.promise.then(reachWideFormulas);
  window.addEventListener("resize", reachWideFormulas);
});
