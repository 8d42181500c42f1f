/** Ids for requests and events. */

/**
 * 128 random bits as hexadecimal digits. Nobody has to be kept from guessing it, only from meeting it twice; `crypto` is
 * missing in Node 18 and its `randomUUID` on pages without TLS.
 */
export function randomId(): string {
  const part = (): string => Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, "0");
  return part() + part() + part() + part();
}
