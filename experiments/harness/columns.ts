/** Columns of rows by their paths, and templates that name them. */
import { TaskError } from "../tasks/task.ts";
import { Float, type Row, type Value } from "./python.ts";

/**
 * The value of a column.
 *
 * @throws {TaskError} if the row has none.
 */
export function column(row: Row, path: string): Value {
  const value = path.split(".").reduce<unknown>(
    (inner, key) => Object(inner) === inner && Object.hasOwn(inner as object, key) ? (inner as Row)[key] : undefined,
    row,
  );
  if (value !== undefined && value !== null) return value as Value;
  throw new TaskError(`it has no ${path}, wanted a row with ${path} (it has ${Object.keys(row).join(", ")})`);
}

/** A template with its columns filled in; `{{` and `}}` stand for braces. */
export function fill(template: string, row: Row): string {
  return template.replaceAll(/\{\{|\}\}|\{([^{}]+)\}/g, (found, path?: string) => {
    if (path === undefined) return found[0]!;
    return text(row, path);
  });
}

/**
 * A column as a text.
 *
 * @throws {TaskError} if the row has none, or it is a list or an object.
 */
export function text(row: Row, path: string): string {
  const value = column(row, path);
  const plain = value instanceof Float ? value.value : value;
  if (typeof plain !== "object") return String(plain);
  throw new TaskError(`its ${path} is ${JSON.stringify(plain)}, wanted a text`);
}

/**
 * A column of texts.
 *
 * @throws {TaskError} if it is none.
 */
export function texts(row: Row, path: string): readonly string[] {
  const value = column(row, path);
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value;
  throw new TaskError(`its ${path} is ${JSON.stringify(value)}, wanted a list of texts`);
}
