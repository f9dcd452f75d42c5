// What only JavaScript can do for the engine: classes whose objects stand for handles, finalizers, and an end after a
// trap. No code is made from text, so the strictest Content-Security-Policy lets it run.

/** The handle of an object that stands for nothing. */
const NOTHING = 0xffffffff;

let engine = null;
const classes = [];
const exported = {};

/** Whether the call that just returned failed, and with what. */
let failed = false;
let exception;

/** The last words of Rust, and the error that every call throws once the engine has stopped. */
let message = null;
let stopped = null;

/** How many numbers a frame of {@link stackProbe} has room for: 4 KiB. */
const FRAME_NUMBERS = 512;
/** How many such frames must fit on the stack for the engine to be entered: 96 KiB, several times what it uses. */
const STACK_PIECES = 24;

/**
 * A function that calls itself so many times and does nothing, in frames of a known size: where they do not fit, it throws
 * what the language throws when the stack is full, and nothing has happened. It takes nanoseconds. Its frames are large
 * because of a branch that is never taken, in which many numbers are on the stack at once.
 */
function stackProbe() {
  const size = (n) => (n < 0x80 ? [n] : [(n & 0x7f) | 0x80, n >> 7]);
  const section = (id, bytes) => [id, ...size(bytes.length), ...bytes];
  const numbers = Array.from({ length: FRAME_NUMBERS }, () => [0x10, 0]).flat(); // call $number
  const sum = Array.from({ length: FRAME_NUMBERS - 1 }, () => 0xa0); // f64.add
  const branch = [...numbers, ...sum, 0x24, 0]; // global.set: what nobody uses, compilers leave out
  const neverTaken = [0x20, 0, 0x41, 0, 0x48, 0x04, 0x40, ...branch, 0x0b]; // if (pieces < 0) { … }
  const recursion = [0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x10, 1, 0x0b]; // if (pieces) probe(pieces - 1)
  const body = [0, ...neverTaken, ...recursion, 0x0b];
  const bytes = Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [2, 0x60, 0, 1, 0x7c, 0x60, 1, 0x7f, 0]), // types: () => f64, (i32) => ()
    ...section(2, [1, 1, 0x68, 1, 0x6e, 0, 0]), // "h" "n": imported, of the first type
    ...section(3, [1, 1]), // one function, of the second
    ...section(6, [1, 0x7c, 1, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b]), // a variable, f64
    ...section(7, [1, 1, 0x70, 0, 1]), // exported as "p"
    ...section(10, [1, ...size(body.length), ...body]),
  );
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { h: { n: () => 0 } });
  return instance.exports.p;
}

/** Made with the engine, as a page that cannot compile it cannot compile this. */
let requireStack;

function stop(cause) {
  const reason = message ?? (cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause));
  const text = `the engine has stopped and must be started anew, which takes a new page, worker or process: ${reason}`;
  stopped = { text: `hooklens:${JSON.stringify({ code: "internal", message: text, details: {} })}`, cause };
}

function refuse() {
  const error = new Error(stopped.text);
  error.cause = stopped.cause;
  return error;
}

/**
 * Calls into the engine. Its errors are handed over beside the result; so an exception means that it trapped in the middle of
 * something, and nothing in its memory can be relied on any more. Running out of stack would be such an end too, and is the
 * one that programs come to by a slip, a recursion without end. Hence the engine is not entered where little is left.
 */
function call(member, handle, count, a, b, c, d, e) {
  if (stopped !== null) throw refuse();
  let result;
  try {
    requireStack(STACK_PIECES);
  } catch (error) {
    // In a block of its own: the error is the caller's, as any other overflow is.
    throw error;
  }
  try {
    result = engine.invoke(member, handle, count, a, b, c, d, e);
  } catch (cause) {
    if (stopped === null) stop(cause);
  }
  if (stopped !== null) throw refuse();
  if (!failed) return result;
  failed = false;
  const thrown = exception;
  exception = undefined;
  throw thrown;
}

function release(number, handle) {
  if (stopped !== null) return;
  try {
    engine.release(number, handle);
  } catch (cause) {
    stop(cause);
  }
}

export function connect(invoke, release) {
  const first = engine === null;
  engine ??= { invoke, release };
  requireStack ??= stackProbe();
  return first;
}

export function defineClass(number, name) {
  const collected = new FinalizationRegistry((handle) => release(number, handle));
  let next = NOTHING;
  let handleOf;
  const Class = class {
    #handle = next;
    static {
      handleOf = (value) =>
        typeof value === "object" && value !== null && #handle in value ? value.#handle : NOTHING;
    }
  };
  Object.defineProperty(Class, "name", { value: name });
  const instance = (handle) => {
    next = handle;
    const object = new Class();
    next = NOTHING;
    collected.register(object, handle);
    return object;
  };
  classes[number] = { Class, handleOf, instance };
  exported[name] = Class;
}

export function defineMember(number, name, member, getter) {
  const { Class, handleOf } = classes[number];
  const property = getter
    ? {
        get() {
          return call(member, handleOf(this), 0);
        },
      }
    : {
        value(a, b, c, d, e) {
          // biome-ignore lint/complexity/noArguments: their number alone, without an array of them
          return call(member, handleOf(this), arguments.length, a, b, c, d, e);
        },
        writable: true,
      };
  Object.defineProperty(Class.prototype, name, { ...property, configurable: true });
}

export function defineFunction(name, member) {
  exported[name] = function (a, b, c, d, e) {
    // biome-ignore lint/complexity/noArguments: their number alone, without an array of them
    return call(member, NOTHING, arguments.length, a, b, c, d, e);
  };
}

export function everything() {
  return exported;
}

export function panicked(text) {
  message = text;
}

export function fail(thrown) {
  failed = true;
  exception = thrown;
}

export function error(text) {
  return new Error(text);
}

/** By the numbers of `kinds` in page.rs. */
export function kind(value) {
  switch (typeof value) {
    case "undefined":
      return 0;
    case "boolean":
      return value ? 3 : 2;
    case "number":
      return 4;
    case "bigint":
      return BigInt.asIntN(64, value) === value ? 5 : 6;
    case "string":
      return 7;
    case "object":
      return value === null ? 1 : isArray(value) ? 8 : 9;
    case "function":
      return 10;
    default:
      return 11;
  }
}

/** A proxy that was revoked is no array: asking throws, and what asks here must not. */
function isArray(value) {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

export function isNullish(value) {
  return value === undefined || value === null;
}

export function toInt64(value) {
  return value;
}

export function length(value) {
  return isArray(value) ? value.length : -1;
}

export function element(array, at) {
  return array[at];
}

export function field(object, name) {
  return object[name];
}

export function entries(object) {
  return Object.entries(object).flat();
}

/** In the order of ArrayType in crates/binding. A browser may lack Float16Array. */
const ARRAYS = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  globalThis.Float16Array,
];
const NAMES = ARRAYS.map((type) => type?.name);
/** Knows typed arrays of other pages too, and nothing that only says that it is one. */
const nameOf = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
).get;

export function arrayType(value) {
  const name = nameOf.call(value);
  return name === undefined ? -1 : NAMES.indexOf(name);
}

export function elementCount(array) {
  return array.length;
}

export function copyBytes(array, to) {
  to.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
}

export function arrayOf(type, bytes) {
  return new ARRAYS[type](bytes.slice().buffer);
}

export function makeArray(length) {
  return new Array(length);
}

export function setElement(array, at, value) {
  array[at] = value;
}

export function makeObject() {
  return {};
}

export function setField(object, name, value) {
  object[name] = value;
}

export function freeze(object) {
  Object.freeze(object);
}

export function instance(number, handle) {
  return classes[number].instance(handle);
}

export function handleOf(number, value) {
  return classes[number].handleOf(value);
}

export function run4(fn, a, b, c, d) {
  return fn(a, b, c, d);
}

export function run(fn, args) {
  return fn(...args);
}

export function resolved(value) {
  return Promise.resolve(value);
}

export function rejected(reason) {
  return Promise.reject(reason);
}
