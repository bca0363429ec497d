// Opened from disk, a page may not fetch other pages, so the search cannot show excerpts of
// them. Told so, Sphinx lists the titles instead of failing.
if (window.location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// What scrolls sideways can be reached by the keyboard, and what does not is no stop for it.
(() => {
  const BOXES = "article :is(div.math, div.cell_output, table, .pst-scrollable-table-container)";

  function mark() {
    for (const box of document.querySelectorAll(BOXES)) {
      const scrolls = getComputedStyle(box).overflowX === "auto" && box.scrollWidth > box.clientWidth;
      if (scrolls) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }

  window.addEventListener("load", async () => {
    await window.MathJax?.startup?.promise;
    mark();
    document.addEventListener("toggle", mark, true); // a box that opens shows more
  });
  window.addEventListener("resize", mark);
})();
