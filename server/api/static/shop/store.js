/** What several parts of the page must agree on, in one place that tells them when it changes. */

/**
 * @template {object} T
 * @param {T} initial
 */
export function createStore(initial) {
  let state = initial;
  /** @type {{names: (keyof T)[], listener: (state: T) => void}[]} */
  const watchers = [];
  return {
    get: () => state,

    /** @param {Partial<T>} changes */
    set(changes) {
      const before = state;
      state = { ...state, ...changes };
      for (const { names, listener } of watchers) {
        if (names.some((name) => before[name] !== state[name])) listener(state);
      }
    },

    /**
     * @param {(keyof T)[]} names
     * @param {(state: T) => void} listener  called after any of these has become another value
     */
    watch(names, listener) {
      watchers.push({ names, listener });
    },
  };
}
