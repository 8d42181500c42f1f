/**
 * A text box with options below it, as the ARIA Authoring Practices describe a combobox: the focus stays in the box, arrows
 * go among the options and back into the box, Enter takes one, Escape closes, Alt with an arrow opens and closes.
 */

import { element } from "./element.js";

/**
 * @typedef {{content: Element[], choose: () => void}} Option
 * @typedef {{title: string, options: Option[]}} Group
 */

export class Combobox {
  #input;
  #list;
  #status;
  /** @type {HTMLElement[]} */
  #options = [];
  #active = -1; // -1: none, so that Enter is about what was typed

  /**
   * @param {HTMLInputElement} input  with the role combobox
   * @param {HTMLElement} list  with the role listbox, hidden
   * @param {HTMLElement} status  with the role status
   * @param {() => void} onWanted  asked to show options
   */
  constructor(input, list, status, onWanted) {
    [this.#input, this.#list, this.#status] = [input, list, status];
    input.addEventListener("keydown", (event) => {
      if (event.isComposing || event.ctrlKey || event.metaKey) return;
      if (event.altKey) this.#alt(event, onWanted);
      else if (!list.hidden) this.#press(event);
    });
    input.addEventListener("blur", this.close);
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // which would take the focus from the box
  }

  /** @param {Group[]} groups  those without options are left out; none at all closes @param {string} said  to those who do not see them */
  show(groups, said) {
    const shown = groups.filter(({ options }) => options.length > 0);
    if (shown.length === 0) return this.close();
    this.#options = [];
    this.#list.replaceChildren(...shown.map((group, number) => this.#group(group, `${this.#list.id}-${number}`)));
    this.#list.hidden = false;
    this.#input.setAttribute("aria-expanded", "true");
    this.#activate(-1);
    this.#status.textContent = said;
  }

  close = () => {
    this.#list.hidden = true;
    this.#input.setAttribute("aria-expanded", "false");
    this.#activate(-1);
    this.#status.textContent = "";
  };

  /** @param {Group} group @param {string} id */
  #group({ title, options }, id) {
    const heading = element("li", { id, role: "presentation", class: "suggestions-title" }, title);
    return element("ul", { role: "group", "aria-labelledby": id }, heading, ...options.map((option) => this.#option(option)));
  }

  /** @param {Option} option */
  #option({ content, choose }) {
    const number = this.#options.length;
    const id = `${this.#list.id}-option-${number}`;
    const onclick = () => {
      this.close();
      choose();
    };
    const onpointermove = () => number !== this.#active && this.#activate(number);
    const node = element("li", { id, role: "option", class: "suggestion", "aria-selected": "false", onclick, onpointermove }, ...content);
    this.#options.push(node);
    return node;
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const places = this.#options.length + 1; // the box is one of them
    if (event.key === "ArrowDown") this.#activate(((this.#active + 2) % places) - 1);
    else if (event.key === "ArrowUp") this.#activate(((this.#active + places) % places) - 1);
    else if (event.key === "Escape") this.close();
    else if (event.key === "Enter" && this.#active >= 0) this.#options[this.#active].click();
    else return;
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event @param {() => void} onWanted */
  #alt(event, onWanted) {
    if (event.key === "ArrowDown") onWanted();
    else if (event.key === "ArrowUp") this.close();
    else return;
    event.preventDefault();
  }

  /** @param {number} number */
  #activate(number) {
    this.#active = number;
    for (const [place, option] of this.#options.entries()) option.setAttribute("aria-selected", String(place === number));
    const active = this.#options[number];
    if (active === undefined) this.#input.removeAttribute("aria-activedescendant");
    else this.#input.setAttribute("aria-activedescendant", active.id);
    active?.scrollIntoView({ block: "nearest" });
  }
}
