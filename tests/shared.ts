/**
 * The folder with golden cases and real data that stands beside the checkout of developers and of CI, or that
 * BOWLINE_SHARED names.
 */
import { join } from "@std/path";

/**
 * A path in that folder, or null where there is none: then the caller's tests are skipped, and a line says so. In CI a
 * missing path is a failure.
 */
export function sharedFolder(path: string): string | null {
  const folder = join(
    Deno.env.get("BOWLINE_SHARED") ?? new URL("../../shared", import.meta.url).pathname,
    path,
  );
  try {
    Deno.statSync(folder);
    return folder;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) || Deno.env.get("CI") === "true") throw error;
    console.log(`skip tests of ${path}: it is not there (BOWLINE_SHARED names its folder)`);
    return null;
  }
}

/**
 * Whether the kernels are built for the emulated GPU; else the caller's tests are skipped, and a line says so. In CI a
 * missing library is a failure.
 */
export function hasEmulator(): boolean {
  const library = new URL("../kernels/build/libbowline_cuda_emulated.so", import.meta.url);
  try {
    return Deno.statSync(library).isFile;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) || Deno.env.get("CI") === "true") throw error;
    console.log('skip tests on the emulated GPU: it is not built (run "deno task build:emulated")');
    return false;
  }
}
