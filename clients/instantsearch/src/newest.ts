/**
 * InstantSearch shows the answer that came last, of a list's values too, so that a slow one to fewer letters would stay.
 * Therefore calls under one name are all answered as the newest of them.
 */
export class Newest<T> {
  readonly #calls = new Map<string, Promise<T>>();

  async answer(name: string, call: Promise<T>): Promise<T> {
    this.#calls.set(name, call);
    for (let wanted = call; ; ) {
      const answer = await wanted;
      const newest = this.#calls.get(name) ?? wanted;
      if (newest === wanted) return answer;
      wanted = newest;
    }
  }
}
