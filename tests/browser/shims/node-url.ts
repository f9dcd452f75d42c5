// Addresses of modules are the test server's: what comes after `/@fs` or the server's root is the path.

export const fileURLToPath = (url: string | URL): string => new URL(url).pathname.replace(/^\/@fs/, "");

export const pathToFileURL = (path: string): URL => new URL(`file://${path}`);
