/** A line at the edge of the page about something that happened, which goes away by itself. */

import { byId, element, icon } from "./element.js";

const SHOWN_MS = 6_000;
let timer = 0;

/** @param {string} text @param {"done" | "failed"} kind */
export function notify(text, kind) {
  const place = byId(kind === "failed" ? "alerts" : "notices");
  clearTimeout(timer);
  clear();
  place.append(element("p", { class: `notice ${kind}` }, icon(kind === "failed" ? "warning" : "check"), text));
  timer = setTimeout(clear, SHOWN_MS);
}

function clear() {
  for (const id of ["alerts", "notices"]) byId(id).replaceChildren();
}

/** Says all the time that it is so while the browser has no network. */
export function startOffline() {
  const banner = byId("offline");
  const show = () => {
    banner.textContent = navigator.onLine ? "" : "You are offline. What you see may be old; it is renewed when you are back.";
    banner.hidden = navigator.onLine;
  };
  addEventListener("online", show);
  addEventListener("offline", show);
  show();
}
