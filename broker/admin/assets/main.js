// Everything that works on a page of the control center.

import { start as startCharts } from "./chart.js";
import { toastFromBefore } from "./dialog.js";
import { start as startForms } from "./forms.js";
import { start as startKeys } from "./keys.js";
import { start as startLive } from "./live.js";
import { start as startTail } from "./tail.js";

startKeys();
startForms();
startLive();
startCharts();
startTail();
toastFromBefore();
document.documentElement.dataset.ready = "true";
