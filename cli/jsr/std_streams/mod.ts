/**
 * The part of `@std/streams` this program uses. Delete the `links` entry in deno.json to use the real one.
 *
 * @module
 */

/** Cuts a stream of text into lines; the line ends (`\n` or `\r\n`) are dropped, and so is an empty last line. */
export class TextLineStream extends TransformStream<string, string> {
  /** Makes the stream. */
  constructor() {
    // The unfinished line is kept in pieces, so that a long one is not searched again with each chunk.
    let pieces: string[] = [];
    super({
      transform(chunk, controller) {
        const lines = chunk.split("\n");
        const last = lines.pop()!;
        for (const line of lines) {
          pieces.push(line);
          controller.enqueue(pieces.join("").replace(/\r$/, ""));
          pieces = [];
        }
        pieces.push(last);
      },
      flush(controller) {
        const rest = pieces.join("");
        if (rest !== "") controller.enqueue(rest);
      },
    });
  }
}
