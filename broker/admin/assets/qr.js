// A QR code, drawn from the rows of dark and light that the broker made.

const SVG = "http://www.w3.org/2000/svg";
// Readers need this much light around the code.
const MARGIN = 4;

/** The code as a picture; on the device that has the app it is a link. */
export function qrCode(rows, uri) {
  const size = rows.length + 2 * MARGIN;
  const dark = rows.flatMap((row, y) => [...row].map((module, x) =>
    (module === "1" ? `M${x + MARGIN} ${y + MARGIN}h1v1h-1z` : "")));
  const picture = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  picture.setAttribute("viewBox", `0 0 ${size} ${size}`);
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", "QR code for the authenticator app");
  path.setAttribute("d", dark.join(""));
  picture.append(path);
  const link = document.createElement("a");
  link.className = "qr";
  link.href = uri;
  const words = document.createElement("span");
  words.textContent = uri;
  link.append(picture, words);
  return link;
}
