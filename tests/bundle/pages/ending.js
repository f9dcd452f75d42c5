// Hooks that end the worker they run in.
export function ending() {
  globalThis.close();
}

export function throwing() {
  setTimeout(() => {
    throw new Error("nobody catches this");
  });
}
