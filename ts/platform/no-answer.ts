/** Why a request had no answer, as far as that can be known: browsers tell pages nothing but that it failed. Internal. */

import { platform } from "./platform.ts";

/** Servers of this machine may be read from any page, as far as browsers are concerned. */
const OWN_MACHINE = /^(localhost|127\.0\.0\.1|\[::1\])$/;

/** What keeps a request from being answered, for the middle of a sentence. */
export function noAnswer(address: string | URL): string {
  const page = platform().pageUrl();
  if (page === null) return "there is no connection";
  const [from, to] = [new URL(page), new URL(address, page)];
  const policy = "the page's Content-Security-Policy does not list its address in connect-src";
  if (from.protocol === "https:" && to.protocol === "http:" && !OWN_MACHINE.test(to.hostname)) {
    return `there is no connection, or the browser blocked it, as pages from https: may not read from http:, or ${policy}`;
  }
  if (from.origin === to.origin) return "there is no connection";
  return `there is no connection, or the server does not let pages of ${from.origin} read its files (CORS: it has to send the header access-control-allow-origin), or ${policy}`;
}
