/** The parameters of the page's address, which bring a search with its filters and its order back. */

/** @returns {URLSearchParams} */
export const address = () => new URLSearchParams(location.search);

/**
 * Writes parameters in place of those of the same names; the others stay.
 * @param {Record<string, string | string[]>} changes  "" and [] take a parameter away
 */
export function writeAddress(changes) {
  const parameters = address();
  for (const [name, value] of Object.entries(changes)) {
    parameters.delete(name);
    for (const one of [value].flat()) if (one !== "") parameters.append(name, one);
  }
  history.replaceState(null, "", parameters.size > 0 ? `./?${parameters}` : "./");
}
