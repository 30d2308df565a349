// A module in a worker that answers what it is told.

import { serveModule } from "mobkit-web/module-worker";
import { echo } from "./echo.ts";

serveModule(echo);
