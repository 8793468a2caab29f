// What happens when the page is opened.

byId("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});

drawCurves();
byId("work").hidden = !CHECKS.some(isTensor);
if (!byId("work").hidden) {
  startTable();
  startGraph();
}
