/** Puts the admin page together. Its sections ask the API with the key that the person gives; the page itself knows nothing. */

import { Api } from "../api.js";
import { byId } from "../element.js";
import { keyQuestion } from "../key.js";
import { startOffline } from "../notice.js";
import { startTheme } from "../theme.js";
import { showAnalytics } from "./analytics.js";
import { showAudit } from "./audit.js";
import { showFleet } from "./fleet.js";
import { showHealth } from "./health.js";
import { showImport } from "./import.js";
import { showLookup } from "./lookup.js";
import { showModels } from "./models.js";
import { showOverrides } from "./curation/overrides.js";
import { showSynonyms } from "./curation/synonyms.js";
import { fill } from "./section.js";
import { showTraffic } from "./traffic.js";

const api = new Api({ onAnswer: () => undefined, askForKey: keyQuestion("This server asks for a key of scope admin") });
/** @type {[string, Parameters<typeof fill>[2]][]} what each section shows of the server, in the order of the page */
const SECTIONS = [
  ["health", showHealth],
  ["models", showModels],
  ["traffic", showTraffic],
  ["fleet", showFleet],
  ["analytics", showAnalytics],
  ["synonyms", showSynonyms],
  ["overrides", showOverrides],
  ["audit", showAudit],
];
/** @type {typeof SECTIONS} what somebody writes in, which loading again must not take away */
const FORMS = [
  ["lookup", showLookup],
  ["import", showImport],
];

function load() {
  for (const [id, show] of SECTIONS) fill(byId(id), api, show);
}

startTheme();
startOffline();
byId("reload").addEventListener("click", load);
for (const [id, show] of FORMS) fill(byId(id), api, show);
load();
