/** Makes elements. Text becomes text nodes, never markup: what a catalog or a person wrote cannot become a tag. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, string | number | boolean | null | undefined | EventListener>} [attributes]
 *   a function is a listener (`onclick`); null, undefined and false leave the attribute out
 * @param {...(Node | string | null | undefined)} children
 * @returns {any}
 */
export function element(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

/** The same for SVG. @type {typeof element} */
export function drawing(tag, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), attributes, children);
}

const ICONS = new URL("./icons.svg", import.meta.url);

/** A decorative icon of icons.svg. @param {string} name */
export function icon(name) {
  return drawing(
    "svg",
    { class: "icon", "aria-hidden": "true" },
    drawing("use", { href: `${ICONS.pathname}#${name}` }),
  );
}

/**
 * The element with this id, which index.html has.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element #${id}`);
  return found;
}

/**
 * @param {Element} target
 * @param {Record<string, any>} attributes
 * @param {(Node | string | null | undefined)[]} children
 */
function dress(target, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") target.addEventListener(name.slice(2), value);
    else target.setAttribute(name, value === true ? "" : String(value));
  }
  target.append(...children.filter((child) => child !== null && child !== undefined));
  return target;
}
