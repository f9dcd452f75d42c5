/** What building the engine as WebAssembly makes; see `WasmGlue`. */
declare module "*/wasm/hooklens.js" {
  const init: (options: { readonly module_or_path: WebAssembly.Module }) => Promise<unknown>;
  export default init;
  export const initSync: (options: { readonly module: WebAssembly.Module }) => unknown;
}
