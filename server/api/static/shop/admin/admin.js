/** Puts the admin page together. Its sections ask the API with the key that the person gives; the page itself knows nothing. */

import { Api } from "../api.js";
import { byId } from "../element.js";
import { keyQuestion } from "../key.js";
import { startOffline } from "../notice.js";
import { startTheme } from "../theme.js";
import { showHealth } from "./health.js";
import { showModels } from "./models.js";
import { fill } from "./section.js";

const api = new Api({ onAnswer: () => undefined, askForKey: keyQuestion() });

function load() {
  fill(byId("health"), api, showHealth);
  fill(byId("models"), api, showModels);
}

startTheme();
startOffline();
byId("reload").addEventListener("click", load);
load();
