/** The version of this package, which the engine's must equal. A test compares it with `package.json`. */
export const VERSION = "0.1.0";
