/** Who shops: a user by their id, or a visitor whose random id this browser keeps. */

import { ApiProblem, Unreachable } from "./api.js";
import { dialog } from "./dialog.js";
import { byId, element } from "./element.js";
import { notify } from "./notice.js";

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

/**
 * Gives the user what the visitor did. A visitor who is already somebody else's, or a key that may not write, is no
 * reason not to shop as this user; every other failure is raised, so that nothing is lost: it may be tried again.
 * @param {import("./api.js").Api} api
 * @param {string} user
 * @param {string} visitor
 */
async function mergeVisit(api, user, visitor) {
  try {
    const { moved } = await api.merge(user, visitor);
    if (moved > 0) notify(`What you did as a visitor is now part of ${user}’s history.`, "done");
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    if (error.code === "session_taken") notify("What you did as a visitor belongs to another user, and stays there.", "failed");
    else if (error.code !== "scope_missing") throw error;
  }
}

/**
 * @param {ReturnType<typeof import("./store.js").createStore<import("./types.js").State>>} store
 * @param {import("./api.js").Api} api
 */
export function startPerson(store, api) {
  const box = dialog("person-dialog");
  const [button, form, input, submit, problem] = ["person", "person-form", "user-id", "sign-in", "person-problem"].map(byId);

  /** @param {Person} person */
  function become(person) {
    store.set({ person: keep(person) });
    box.close();
  }

  /** @param {string} id */
  async function signIn(id) {
    const before = store.get().person;
    submit.disabled = true;
    problem.textContent = "";
    try {
      if (before.kind === "visitor" && before.id !== id) await mergeVisit(api, id, before.id);
      if (store.get().person === before) become({ kind: "user", id });
    } catch (error) {
      if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
      problem.textContent = `You are still a visitor. ${error.message}`;
    } finally {
      submit.disabled = false;
    }
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
    problem.textContent = "";
    box.showModal();
  });
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const id = input.value.trim();
    if (id && !submit.disabled) signIn(id);
  });
  byId("new-visitor").addEventListener("click", () => become(newVisitor()));
  store.watch(["person"], show);
  show();
}
