/** `new GemserveClient("http://127.0.0.1:8000")`, and the types of what it takes and returns. */

export { newEvent } from "./endpoints.js";
export { GemserveClient } from "./client.js";
export type { CallOptions, ClientOptions } from "./connection.js";
export { GemserveError, type FieldError } from "./errors.js";
export type { Retries } from "./retries.js";
export type * from "./types.js";
