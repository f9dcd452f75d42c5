// Paths as POSIX has them.

export function join(...parts: readonly string[]): string {
  const out: string[] = [];
  for (const part of parts.join("/").split("/")) {
    if (part === ".." && out.length > 0 && out.at(-1) !== "..") out.pop();
    else if (part !== "." && part !== "") out.push(part);
  }
  return (parts[0]?.startsWith("/") ? "/" : "") + out.join("/");
}

export const resolve = (...parts: readonly string[]): string =>
  join(
    ...parts.slice(
      Math.max(
        0,
        parts.findLastIndex((part) => part.startsWith("/")),
      ),
    ),
  );

export const dirname = (path: string): string => path.replace(/\/?[^/]*$/, "") || ".";

export const basename = (path: string, ending = ""): string => {
  const name = path.replace(/^.*\//, "");
  return ending !== "" && name.endsWith(ending) ? name.slice(0, -ending.length) : name;
};
