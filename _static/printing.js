// A page opened as `page.html?print=open` opens all its boxes and is printed.
if (new URLSearchParams(window.location.search).get("print") === "open") {
  window.addEventListener("load", async () => {
    for (const box of document.querySelectorAll("article details")) box.open = true;
    await window.MathJax?.startup?.promise;
    window.print();
  });
}
