export const setTimeout = (ms: number): Promise<void> =>
  new Promise((done) => globalThis.setTimeout(done, ms));

export const setImmediate = (): Promise<void> => setTimeout(0);
