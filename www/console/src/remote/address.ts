// Where a remote mob is: what `?runtime=` may say, and the addresses of the fetch contract below it.

import { ConsoleError } from "../client.ts";

/** A remote's base address, which has been looked at. */
export interface RemoteAddress {
  /** Without a slash at its end, so that the contract's paths can be put behind it. */
  readonly base: string;
  /** Host and port, as a person knows them. */
  readonly host: string;
  /** What is sent can be read on the way: plain http, and not to this computer. */
  readonly readable: boolean;
}

const refused = (why: string): ConsoleError => new ConsoleError("invalid_runtime_address", why);

/** The address of a remote mob, absolute or relative to the page; throws a sentence that says what is wrong with it. */
export function remoteAddress(text: string, page: string): RemoteAddress {
  if (text.trim() === "") throw refused("The address of this page names a runtime (?runtime=), but not which. Give the address of a mob, or leave it out.");
  let url: URL;
  try {
    url = new URL(text.trim(), page);
  } catch {
    throw refused(`“${text}” is no address. A runtime is named as https://host/path, or by its path on this site.`);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") throw refused(`A runtime is reached by http or https, not by ${url.protocol.slice(0, -1)}.`);
  // The sentence does not repeat the address: whoever looks over a shoulder need not read the password.
  if (url.username !== "" || url.password !== "") throw refused("The runtime's address has a name or a password in it. Addresses end up in histories and logs: leave it out, and sign in with a token.");
  if (url.search !== "" || url.hash !== "") throw refused("The runtime's address has a query or a fragment in it. Give the address below which the mob is served, without them.");
  return {
    base: `${url.origin}${url.pathname.replace(/\/+$/, "")}`,
    host: url.host,
    readable: url.protocol === "http:" && !isLoopback(url.hostname),
  };
}

/** The address of one of the contract's paths. */
export function below(address: RemoteAddress, path: string): string {
  if (!path.startsWith("/") || path.startsWith("//")) throw new ConsoleError("invalid_params", `not a path of the contract: ${path}`);
  return `${address.base}${path}`;
}

/** Names and addresses that never leave this computer (Secure Contexts, section 3.1). */
function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
}
