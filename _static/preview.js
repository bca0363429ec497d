// Shows what a mention of an equation or a figure leads to, while the pointer or the keyboard's
// focus is on the link. What is shown lies in the page, in <template data-place="equation-3.1">.
(() => {
  const WAIT = 150; // ms before it opens, and before it closes once the pointer has left
  let box, link, timer;

  function later(action) {
    clearTimeout(timer);
    timer = setTimeout(action, WAIT);
  }

  async function open(mention) {
    clearTimeout(timer);
    if (mention === link) return;
    close();
    const content = document.querySelector(`template[data-place="${mention.dataset.place}"]`);
    if (!content) return;
    link = mention;
    box = document.createElement("div");
    box.id = "preview";
    box.setAttribute("role", "tooltip");
    box.append(content.content.cloneNode(true));
    box.addEventListener("pointerenter", () => clearTimeout(timer));
    box.addEventListener("pointerleave", () => later(close));
    document.body.append(box);
    link.setAttribute("aria-describedby", box.id);
    const mine = box;
    await window.MathJax?.typesetPromise?.([mine]);
    await Promise.all([...mine.querySelectorAll("img")].map((i) => i.decode().catch(() => {})));
    if (mine === box) place();
  }

  // Below the link where there is room, else above it; never past the window's edge.
  function place() {
    const at = link.getBoundingClientRect();
    const width = document.documentElement.clientWidth;
    const left = Math.min(at.left, width - box.offsetWidth - 8);
    const below = at.bottom + box.offsetHeight + 8 <= innerHeight;
    box.style.left = `${Math.max(8, left)}px`;
    box.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - box.offsetHeight - 4)}px`;
    box.classList.add("placed");
  }

  function close() {
    clearTimeout(timer);
    if (!box) return;
    window.MathJax?.typesetClear?.([box]);
    box.remove();
    link.removeAttribute("aria-describedby");
    box = link = null;
  }

  const mentionOf = (event) => event.target.closest?.("a.mention");

  // A finger has no hover: there the link is followed, as any other link.
  document.addEventListener("pointerover", (event) => {
    const mention = event.pointerType !== "touch" && mentionOf(event);
    if (mention) later(() => open(mention));
  });
  document.addEventListener("pointerout", (event) => {
    if (mentionOf(event)) later(close);
  });
  document.addEventListener("focusin", (event) => {
    const mention = mentionOf(event);
    if (mention?.matches(":focus-visible")) open(mention);
  });
  document.addEventListener("focusout", (event) => mentionOf(event) && close());
  document.addEventListener("keydown", (event) => event.key === "Escape" && close());
  document.addEventListener("click", (event) => mentionOf(event) && close());
  // The page may still be scrolling to a link that has got the focus.
  document.addEventListener("scroll", (event) => box && event.target === document && place(), true);
})();
