// Told to Sphinx's search as `html_search_scorer`: what a chapter or a page says comes before the
// package's names. All but `score` are Sphinx's own numbers.
var Scorer = {
  score: ([page, title, anchor, description, score]) =>
    description !== null || page === "pages/reference" ? score - 30 : score,
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
