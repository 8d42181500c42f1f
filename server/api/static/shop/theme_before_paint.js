// Not a module, so that it runs before the first paint: the chosen theme must not flash in late.
const theme = localStorage.getItem("gemserve.theme");
if (theme) document.documentElement.dataset.theme = theme;
