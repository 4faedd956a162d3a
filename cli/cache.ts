/** Where tokenizers and tokens are kept between runs. */
import { join, resolve } from "@std/path";

/**
 * The cache folder: `BOWLINE_CACHE`, or `bowline` in the user's cache folder, or `.cache` here where there is none.
 */
export function cacheFolder(): string {
  const own = Deno.env.get("BOWLINE_CACHE");
  if (own) return resolve(own);
  const home = Deno.env.get("HOME");
  const user = Deno.env.get("XDG_CACHE_HOME") ?? Deno.env.get("LOCALAPPDATA") ?? (home && join(home, ".cache"));
  return user ? resolve(user, "bowline") : resolve(".cache");
}
