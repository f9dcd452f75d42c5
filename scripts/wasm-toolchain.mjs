// Finds or installs what compiling the engine to WebAssembly takes: a Rust compiler with a standard library for
// wasm32-unknown-unknown, wasm-bindgen's command and wasm-pack. `node scripts/wasm-toolchain.mjs` prepares everything and
// says what it found; a second run finds it all there.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fail, root, run } from "./steps.mjs";

const TARGET = "wasm32-unknown-unknown";
/** Orders cargo and wasm-bindgen about; any version from 0.13 on knows the options that we use. */
const WASM_PACK = "0.15.1";
/** Debian's compiler for browsers, and the standard library's source, from which cargo builds it for the target. */
const DEBIAN = ["rustc-web", "cargo-web", "rust-web-src", "lld-19", "rust-web-llvm"];
/** Where our own copies of the commands are. */
const tools = join(root, ".cache", "tools");

/** What a command prints, or undefined if it cannot be run or fails. */
function output(command, args, env = process.env) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", env });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/** The version of wasm-bindgen that the workspace is compiled with. Its command must be of the very same one. */
function wasmBindgenVersion() {
  const lock = readFileSync(join(root, "Cargo.lock"), "utf8");
  const [, version] = lock.match(/name = "wasm-bindgen"\r?\nversion = "([^"]+)"/) ?? [];
  return version ?? fail("Cargo.lock names no version of wasm-bindgen");
}

/** Whether a compiler has a compiled standard library for the target. */
function hasTarget(rustc) {
  const folder = output(rustc, ["--print", "target-libdir", "--target", TARGET]);
  return (
    folder !== undefined && existsSync(folder) && readdirSync(folder).some((f) => f.startsWith("libcore-"))
  );
}

/** Whether the source of a compiler's standard library is there, so that cargo can build it. */
function hasSource(rustc) {
  const sysroot = output(rustc, ["--print", "sysroot"]);
  return sysroot !== undefined && existsSync(join(sysroot, "lib/rustlib/src/rust/library/Cargo.lock"));
}

/** Has cargo build the standard library with the crates. The interface is not stable, hence the second variable. */
const BUILD_STD = { RUSTC_BOOTSTRAP: "1", CARGO_UNSTABLE_BUILD_STD: "std,panic_abort" };

/** The compiler that is on the path, if rustup or the system gave it the target. */
function ownCompiler({ threads, tried }) {
  const ready = () => (threads ? hasSource("rustc") : hasTarget("rustc"));
  const rustup = threads ? ["component", "add", "rust-src"] : ["target", "add", TARGET];
  if (!ready()) {
    const command = `rustup ${rustup.join(" ")}`;
    console.error(`• ${command} …`);
    // Where its server cannot be reached there may be no answer at all.
    const added = spawnSync("rustup", rustup, { cwd: root, encoding: "utf8", timeout: 180_000 });
    const problem = added.error?.code === "ENOENT" ? "there is no rustup" : added.error?.message;
    const why = problem ?? added.stderr.trim().split("\n").at(-1) ?? "";
    if (added.status !== 0 || !ready()) {
      tried.push(`${command}: ${why}`);
      return undefined;
    }
  }
  return { name: output("rustc", ["--version"]), env: threads ? BUILD_STD : {} };
}

/** Debian's compiler, which comes without a standard library for the target but with its source. */
function debianCompiler({ tried }) {
  const rustc = "/usr/bin/rustc";
  const ready = () => hasSource(rustc) && existsSync("/usr/bin/wasm-ld-19") && existsSync("/usr/bin/cargo");
  if (!ready()) {
    if (!existsSync("/etc/debian_version")) {
      tried.push("Debian's packages: this is no Debian");
      return undefined;
    }
    const install = `apt-get install ${DEBIAN.join(" ")}`;
    if (process.getuid?.() !== 0) {
      tried.push(`Debian's packages: only root can install them; '${install}'`);
      return undefined;
    }
    console.error(`• ${install} …`);
    const apt = (...args) =>
      spawnSync("apt-get", args, { stdio: ["ignore", "ignore", "inherit"], env: aptEnvironment }).status;
    apt("update", "-qq");
    if (apt("install", "-y", "-qq", "--no-install-recommends", ...DEBIAN) !== 0 || !ready()) {
      tried.push(`'${install}' failed`);
      return undefined;
    }
  }
  return {
    name: `${output(rustc, ["--version"])}, with the standard library built from source`,
    env: {
      ...BUILD_STD,
      RUSTC: rustc,
      CARGO: "/usr/bin/cargo",
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: "wasm-ld-19",
      PATH: `/usr/bin:${process.env.PATH}`,
    },
  };
}

const aptEnvironment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };

/** A command of that version: the user's own if it fits, else one that is installed below .cache/tools. */
function command(name, crate, version, accepts) {
  const own = join(tools, "bin", name);
  for (const candidate of [own, name]) {
    const [, found] = output(candidate, ["--version"])?.match(/(\d+\.\d+\.\d+\S*)/) ?? [];
    if (found !== undefined && accepts(found)) return candidate;
  }
  const building = join(tools, "build");
  // The commands run for seconds: optimising them would take longer than it can ever save.
  const env = {
    ...process.env,
    CARGO_TARGET_DIR: building,
    CARGO_PROFILE_RELEASE_OPT_LEVEL: "1",
    CARGO_PROFILE_RELEASE_LTO: "false",
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "16",
    CARGO_PROFILE_RELEASE_DEBUG: "false",
  };
  run(
    `Installing ${crate} ${version} (some minutes, once)`,
    "cargo",
    ["install", "--quiet", "--force", "--root", tools, "--bin", name, `${crate}@${version}`],
    { env },
  );
  rmSync(building, { recursive: true, force: true });
  return own;
}

/**
 * What compiling to WebAssembly takes, installed if need be; ends the script with what to do where it cannot be had.
 * @param {{ threads?: boolean }} options `threads`: for shared memory, for which the standard library is always built
 * @returns {{ compiler: string, env: Record<string, string>, wasmPack: string }} the environment to run wasm-pack in
 */
export function wasmToolchain({ threads = false } = {}) {
  const tried = [];
  const compiler = ownCompiler({ threads, tried }) ?? debianCompiler({ tried });
  if (!compiler) {
    fail(
      `no Rust compiler for ${TARGET} could be had:\n${tried.map((line) => `  - ${line}`).join("\n")}\n` +
        `Install Rust with rustup, then run 'rustup target add ${TARGET}'.`,
    );
  }
  const bindgen = wasmBindgenVersion();
  const wasmBindgen = command("wasm-bindgen", "wasm-bindgen-cli", bindgen, (found) => found === bindgen);
  const wasmPack = command("wasm-pack", "wasm-pack", WASM_PACK, (found) => Number(found.split(".")[1]) >= 13);
  const env = { ...process.env, ...compiler.env };
  // wasm-pack looks for wasm-bindgen on the path; cargo passes over everything that the host's builds left behind.
  if (wasmBindgen.startsWith(tools)) env.PATH = `${join(tools, "bin")}:${env.PATH}`;
  env.CARGO_TARGET_DIR = join(
    process.env.CARGO_TARGET_DIR ?? join(root, "target"),
    threads ? "wasm-threads" : "wasm",
  );
  return { compiler: compiler.name, env, wasmPack };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const { compiler, wasmPack } = wasmToolchain();
  console.error(`${compiler}\n${wasmPack}\nwasm-bindgen ${wasmBindgenVersion()}`);
}
