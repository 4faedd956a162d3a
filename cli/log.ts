/** Messages for people, on stderr: pino decides what is shown, a sync stream writes it as a line of text. */
import { pino } from "pino";
import type { LogLevel } from "./levels.ts";

/** The methods of a logger that this program uses. */
export type Log = Pick<pino.Logger, "debug" | "info" | "warn">;

/** A logger that hands each message to `write` as a line. */
export function createLog(level: LogLevel, write: (line: string) => void): Log {
  const stream = {
    write(json: string) {
      const { level, msg } = JSON.parse(json);
      write(level >= pino.levels.values.warn! ? `warning: ${msg}` : msg);
    },
  };
  return pino({ level, base: null, timestamp: false }, stream);
}
