export const setTimeout = (ms: number): Promise<void> =>
  new Promise((done) => globalThis.setTimeout(done, ms));

// Timers that are set by timers wait for four milliseconds.
export const setImmediate = (): Promise<void> =>
  new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener("message", () => {
      port1.close();
      done();
    });
    port1.start();
    port2.postMessage(null);
  });
