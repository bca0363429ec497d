// Opened from disk, a page may not fetch other pages, so the search cannot show excerpts of
// them. Told so, Sphinx lists the titles instead of failing.
if (window.location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}
