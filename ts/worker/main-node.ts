/** What a worker of Node runs. */

import process from "node:process";
import { parentPort } from "node:worker_threads";
import * as library from "../node.ts";
import { serve } from "./host.ts";

if (parentPort === null) throw new Error("this module is for workers: use startWorker of hooklens/worker");
const port = parentPort;

serve(
  {
    post: (message, transfer) => port.postMessage(message, [...transfer]),
    listen: (receive) => port.on("message", receive),
  },
  {
    library,
    load: (address) => import(address),
    alive: async () => null,
    end: () => process.exit(1),
  },
);
