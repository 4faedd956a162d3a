/** Opens the core before any test does: it stays open, which the resource sanitizer would call a leak of that test. */
import { coreInfo } from "@bowline/bowline";

coreInfo();
