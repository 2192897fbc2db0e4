// Dark or light, before anything is drawn: what the reader chose here, or else what the system says.
"use strict";
{
  const chosen = () => localStorage.getItem("theme");
  const apply = () => {
    const theme = chosen();
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  apply();
  window.portcullisTurnTheme = () => {
    const dark = chosen()
      ? chosen() === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    localStorage.setItem("theme", dark ? "light" : "dark");
    apply();
  };
}
