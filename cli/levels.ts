/** Levels of `--log-level`, apart from log.ts so that showing help does not load the logger. */

/** From everything to nothing. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;

/** A level. */
export type LogLevel = typeof LOG_LEVELS[number];
