/** Memory of this process. */
import process from "node:process";

/** The largest memory that this process had so far, in 10^6 bytes. */
export function peakMegabytes(): number {
  return process.resourceUsage().maxRSS * 1024 / 1e6;
}
