/** The path of the browser; undefined if there is none. */
export function chromiumPath(): string | undefined;
/** How it is started. */
export const CHROMIUM_FLAGS: readonly string[];
/** Installs the browser where that needs no questions asked; otherwise says what to do. */
export function installChromium(): void;
