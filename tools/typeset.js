// Typesets formulas with MathJax under Node: tools/formulas.py runs it, one call for the whole book.
// In (stdin): {mathjax: folder, fonts: URL seen from the style sheet, formulas: [{tex, display}]}.
// Out: {formulas: [{html} or {error}], css}.

const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));

async function main() {
  const MathJax = await require(`${given.mathjax}/node-main.js`).init({
    loader: {load: ['input/tex-full', 'output/chtml', 'adaptors/liteDOM', 'a11y/assistive-mml']},
    // Not among them: noundefined and noerrors, which show a mistake in red instead of telling it.
    tex: {packages: ['base', 'ams', 'newcommand', 'boldsymbol', 'color', 'braket', 'mathtools']},
    chtml: {fontURL: given.fonts, adaptiveCSS: true},
    options: {enableAssistiveMml: true},
  });
  const adaptor = MathJax.startup.adaptor;
  const formulas = given.formulas.map(({tex, display}) => {
    const node = MathJax.tex2chtml(tex, {display, em: 16, ex: 8, containerWidth: 16 * 45});
    const html = adaptor.outerHTML(node);
    const mistake = html.match(/data-mjx-error="([^"]*)"/);
    return mistake ? {error: mistake[1]} : {html};
  });
  const css = adaptor.textContent(MathJax.chtmlStylesheet());
  process.stdout.write(JSON.stringify({formulas, css}));
}

main().catch((error) => {
  console.error(error?.stack ?? error);
  process.exit(1);
});
