/** The path of the browser; undefined if there is none. */
export function chromiumPath(): string | undefined;
/** What playwright starts it with, with options of V8. */
export function launchOptions(...v8: readonly string[]): { args: string[]; executablePath?: string };
/** Installs the browser where that needs no questions asked; otherwise says what to do. */
export function installChromium(): void;
