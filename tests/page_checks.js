// What tests/test_book.py asks of a page. Each function returns a list of complaints.
({
  // Wait until MathJax has set every formula, the packages that it loads by itself included.
  async ready() {
    if (!document.querySelector(".math")) return [];
    for (let waited = 0; !window.MathJax?.startup?.promise; waited += 20) {
      if (waited > 10000) return ["MathJax did not load"];
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await MathJax.startup.promise;
    return [];
  },

  formulas() {
    const complaints = [];
    for (const box of document.querySelectorAll(".math")) {
      const formula = box.querySelector("mjx-container");
      const start = box.textContent.trim().slice(0, 60);
      if (!formula) {
        complaints.push(`formula not set: ${start}`);
      } else if (box.clientWidth && box.tagName === "DIV") {
        const hidden = box.getBoundingClientRect().left - formula.getBoundingClientRect().left;
        if (hidden > 1) complaints.push(`the start of a formula is out of reach: ${start}`);
      }
    }
    for (const error of document.querySelectorAll("mjx-merror, [data-mjx-error]")) {
      complaints.push(`error in a formula: ${error.getAttribute("data-mjx-error")}`);
    }
    for (const part of document.querySelectorAll("mjx-container [style*='color: red']")) {
      complaints.push(`unknown command in a formula: ${part.textContent}`);
    }
    // What is left after formulas and code must hold no TeX.
    const rest = document.querySelector("article, main").cloneNode(true);
    rest.querySelectorAll("mjx-container, code, pre, script").forEach((node) => node.remove());
    const raw = rest.textContent.match(/.{0,30}(\\\(|\\\[|\\begin\{|\$).{0,30}/);
    if (raw) complaints.push(`raw TeX in the text: ${raw[0].trim()}`);
    return complaints;
  },

  async images() {
    const complaints = [];
    for (const image of document.images) {
      await image.decode().catch(() => {});
      if (!image.naturalWidth) complaints.push(`image did not load: ${image.src}`);
      if (!image.alt && image.closest("article")) {
        complaints.push(`figure without alternative text: ${image.src}`);
      }
      const style = getComputedStyle(image);
      const inside = (size, ...edges) =>
        size - edges.reduce((sum, edge) => sum + parseFloat(style[edge]), 0);
      const shape =
        inside(image.clientWidth, "paddingLeft", "paddingRight") /
        inside(image.clientHeight, "paddingTop", "paddingBottom");
      if (Math.abs((shape * image.naturalHeight) / image.naturalWidth - 1) > 0.03) {
        complaints.push(`image out of shape: ${image.src}`);
      }
    }
    return complaints;
  },

  // The running text: what is no code, no formula, no heading, no link and no figure's own name.
  plainText() {
    const rest = document.querySelector("article, main").cloneNode(true);
    const other = "mjx-container, code, pre, script, a, summary, h1, h2, h3, h4, dt, .math";
    rest.querySelectorAll(other).forEach((node) => node.remove());
    const walker = document.createTreeWalker(rest, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) {
      const text = walker.currentNode.textContent;
      if (text.trim() && !/^Figure [\d.]+\.$/.test(text)) texts.push(text);
    }
    return texts;
  },

  // On a wide screen no formula scrolls, and no code or printed line of up to 100 columns.
  fit() {
    document.querySelectorAll("details").forEach((box) => (box.open = true));
    const complaints = [];
    for (const box of document.querySelectorAll("article :is(div.math, pre)")) {
      if (box.scrollWidth <= box.clientWidth + 1) continue;
      const columns = Math.max(...box.innerText.split("\n").map((line) => line.length));
      const start = box.id || box.textContent.trim().slice(0, 60);
      if (box.localName === "div") complaints.push(`a formula scrolls: ${start}`);
      else if (columns <= 100) complaints.push(`code of ${columns} columns scrolls: ${start}`);
    }
    return complaints;
  },

  // What is wider than its box can be scrolled there, with the keyboard too.
  reach() {
    const complaints = [];
    for (const box of document.querySelectorAll("article :is(div.math, pre, table, div)")) {
      const { overflowX } = getComputedStyle(box);
      if (box.scrollWidth <= box.clientWidth + 1 || overflowX === "visible") continue;
      const start = box.textContent.trim().slice(0, 60);
      if (overflowX !== "auto" && overflowX !== "scroll") complaints.push(`cut off: ${start}`);
      else if (box.tabIndex < 0) complaints.push(`no key scrolls this: ${start}`);
    }
    return complaints;
  },

  width() {
    const wide = document.documentElement.scrollWidth;
    return wide > innerWidth ? [`the page is ${wide} px wide in a window of ${innerWidth} px`] : [];
  },

  // WCAG: the ratio of luminances of text and what lies behind it is at least 4.5, or 3 for
  // large text.
  contrast() {
    const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
    const luminance = (colour) => {
      const [r, g, b] = numbers(colour).map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (node) => {
      for (let at = node; at; at = at.parentElement) {
        const colour = getComputedStyle(at).backgroundColor;
        const [, , , alpha = 1] = numbers(colour);
        if (alpha > 0.9) return colour;
      }
      return "rgb(255, 255, 255)";
    };
    const complaints = new Set();
    for (const node of document.querySelectorAll("article *")) {
      const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
      if (!own || !node.checkVisibility() || node.closest("mjx-assistive-mml, .headerlink, button"))
        continue;
      const style = getComputedStyle(node);
      const [a, b] = [luminance(style.color), luminance(behind(node))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      const large = parseFloat(style.fontSize) >= 24;
      if (ratio < (large ? 3 : 4.5)) {
        const text = node.textContent.trim().slice(0, 30);
        complaints.add(`contrast ${ratio.toFixed(2)} of <${node.localName}> "${text}"`);
      }
    }
    return [...complaints];
  },

  // In a dark page too, figures keep their colours and their white face.
  figures() {
    const complaints = [];
    for (const image of document.querySelectorAll("div.cell_output img")) {
      const style = getComputedStyle(image);
      if (style.filter !== "none") complaints.push(`a figure is recoloured: ${style.filter}`);
      if (style.backgroundColor !== "rgb(255, 255, 255)" && document.documentElement.dataset.theme === "dark")
        complaints.push(`a figure stands on ${style.backgroundColor}`);
    }
    return complaints;
  },
})
