/** Who shops: a user by their id, or a visitor whose random id this browser keeps. */

import { dialog } from "./dialog.js";
import { byId, element } from "./element.js";

const WHO = "gemserve.person";

/** @typedef {import("./types.js").Person} Person */

/** The parameter that names them to the server. @param {Person} person */
export const whose = ({ kind, id }) => (kind === "user" ? { user: id } : { session: id });

/** @returns {Person} who was here last in this browser, or a new visitor */
export function rememberedPerson() {
  const kept = localStorage.getItem(WHO);
  return kept === null ? keep(newVisitor()) : JSON.parse(kept);
}

/** @returns {Person} */
function newVisitor() {
  const bytes = crypto.getRandomValues(new Uint8Array(12)); // randomUUID is missing where a page comes over plain HTTP
  return { kind: "visitor", id: `visitor-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}` };
}

/** @param {Person} person */
function keep(person) {
  localStorage.setItem(WHO, JSON.stringify(person));
  return person;
}

/** @param {ReturnType<typeof import("./store.js").createStore<import("./types.js").State>>} store */
export function startPerson(store) {
  const box = dialog("person-dialog");
  const [button, form, input] = ["person", "person-form", "user-id"].map(byId);

  /** @param {Person} person */
  function become(person) {
    store.set({ person: keep(person) });
    box.close();
  }

  function show() {
    const { kind, id } = store.get().person;
    const name = kind === "user" ? id : "Visitor";
    byId("person-name").textContent = name;
    byId("person-initial").textContent = [...name][0].toUpperCase();
    byId("person-now").replaceChildren(
      kind === "user" ? "You shop as user " : "You are a visitor. The server knows you as ",
      element("code", {}, id),
    );
  }

  button.addEventListener("click", () => {
    input.value = "";
    box.showModal();
  });
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const id = input.value.trim();
    if (id) become({ kind: "user", id });
  });
  byId("new-visitor").addEventListener("click", () => become(newVisitor()));
  store.watch(["person"], show);
  show();
}
