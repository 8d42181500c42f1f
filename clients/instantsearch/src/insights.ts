/**
 * An insights client, in the place of Algolia's `search-insights`: what InstantSearch tells of people's clicks becomes
 * events of gemserve, which name the answer that showed the item. The server knows at which position it stood there.
 */

import { newEvent, type Event, type GemserveClient } from "@gemserve/client";

import type { Shown } from "./shown.js";

export interface InsightsOptions {
  /** What `convertedObjectIDs…` without an `eventSubtype` is: "purchase" unless given. */
  conversion?: "cart" | "purchase";
  /** Whether hits that came into sight are told; true unless given. */
  impressions?: boolean;
  /** Of events that could not be sent; in the console unless given. */
  onEventError?: (error: unknown) => void;
}

export type InsightsClient = ((method: string, ...values: any[]) => void) & {
  /** Of search-insights, so that InstantSearch knows what it may call. */
  version: string;
};

/** Whose searches and events these are. */
export interface Person {
  token: string | undefined;
}

/** What is read of Algolia's events. */
interface Payload {
  eventType?: string;
  eventSubtype?: string;
  objectIDs?: readonly string[];
  objectData?: readonly { price?: number | string; quantity?: number; queryID?: string }[];
  value?: number | string;
  queryID?: string;
  userToken?: string | number;
  timestamp?: number;
  algoliaSource?: readonly string[];
}

type TokenListener = (token: string | undefined) => void;

const METHOD = /^(viewed|clicked|converted|addedToCart|purchased)ObjectIDs(AfterSearch)?$/;
const EVENT_TYPES: Record<string, string> = { view: "viewed", click: "clicked", conversion: "converted" };

export function insightsOf(client: GemserveClient, shown: Shown, person: Person, options: InsightsOptions): InsightsClient {
  const { conversion = "purchase", impressions = true, onEventError = warn } = options;
  let onTokenChange: TokenListener | undefined;

  function kindOf(verb: string, { eventSubtype, algoliaSource }: Payload): Event["type"] | undefined {
    if (verb === "clicked") return "click";
    if (verb === "addedToCart" || eventSubtype === "addToCart") return "cart";
    if (verb === "purchased" || eventSubtype === "purchase") return "purchase";
    if (verb === "converted") return conversion;
    const isOfWidget = algoliaSource?.includes("instantsearch-internal") ?? false; // hits that were rendered, not a page about one
    return isOfWidget ? (impressions ? "impression" : undefined) : "view";
  }

  function eventsOf(verb: string, payload: Payload): Event[] {
    const type = kindOf(verb, payload);
    const user = payload.userToken ?? person.token;
    const ids = payload.objectIDs ?? [];
    if (type === undefined || ids.length === 0) return [];
    if (user === undefined) throw new Error('no user is known: give { user }, or call insightsClient("setUserToken", …) first');
    return ids.map((id, place) => {
      const origin = shown.of(id, payload.objectData?.[place]?.queryID ?? payload.queryID);
      const value = type === "purchase" ? valueOf(payload, place) : undefined;
      return newEvent({
        user_id: String(user),
        item_id: id,
        type,
        ...(origin && { request_id: origin.requestId }),
        ...(origin?.query !== undefined && { query: origin.query }),
        ...(payload.timestamp !== undefined && { timestamp: payload.timestamp }),
        ...(value !== undefined && { value }),
      });
    });
  }

  async function tell(make: () => Event[]): Promise<void> {
    try {
      const events = make();
      if (events.length === 0) return;
      const { rejected } = await client.sendEvents(events, { keepalive: true });
      for (const row of rejected) onEventError(new Error(`${row.field ?? "event"}: ${row.reason}`));
    } catch (error) {
      onEventError(error);
    }
  }

  const methods: Record<string, (...values: any[]) => void> = {
    getUserToken: (_options: unknown, callback?: (error: null, token: string | undefined) => void) => callback?.(null, person.token),
    setUserToken: (token: string | number | undefined) => {
      person.token = token === undefined ? undefined : String(token);
      onTokenChange?.(person.token);
    },
    onUserTokenChange: (listener?: TokenListener, { immediate = false } = {}) => {
      onTokenChange = listener;
      if (immediate) listener?.(person.token);
    },
    sendEvents: (payloads: readonly Payload[]) =>
      void tell(() => payloads.flatMap((payload) => {
        const verb = EVENT_TYPES[payload.eventType ?? ""]; // others tell Algolia how its library is used
        return verb === undefined ? [] : eventsOf(verb, payload);
      })),
  };
  methods["setAuthenticatedUserToken"] = methods["setUserToken"] as (token: unknown) => void;

  const call = (method: string, ...values: any[]): void => {
    const verb = METHOD.exec(method)?.[1];
    if (verb !== undefined) void tell(() => eventsOf(verb, values[0] as Payload));
    else methods[method]?.(...values);
  };
  return Object.assign(call, { version: "2.17.2" });
}

/** Of one item of a purchase: its price, as often as it was bought, or the value of all where that is all of it. */
function valueOf({ objectData, objectIDs, value }: Payload, place: number): number | undefined {
  const { price, quantity = 1 } = objectData?.[place] ?? {};
  const given = price !== undefined ? Number(price) * quantity : objectIDs?.length === 1 && value !== undefined ? Number(value) : NaN;
  return Number.isFinite(given) ? given : undefined;
}

const warn = (error: unknown): void => console.warn("gemserve: an event was not sent:", error);
