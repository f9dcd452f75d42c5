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
 * Calls into the engine. Its errors are handed over beside the result; so an exception means that it trapped or ran out of
 * stack in the middle of something, and nothing in its memory can be relied on any more.
 */
function call(member, handle, args) {
  if (stopped !== null) throw refuse();
  let result;
  try {
    result = engine.invoke(member, handle, args);
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
          return call(member, handleOf(this), []);
        },
      }
    : {
        value(...args) {
          return call(member, handleOf(this), args);
        },
        writable: true,
      };
  Object.defineProperty(Class.prototype, name, { ...property, configurable: true });
}

export function defineFunction(name, member) {
  exported[name] = (...args) => call(member, NOTHING, args);
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
      return value === null ? 1 : Array.isArray(value) ? 8 : 9;
    case "function":
      return 10;
    default:
      return 11;
  }
}

export function isNullish(value) {
  return value === undefined || value === null;
}

export function toInt64(value) {
  return value;
}

export function length(value) {
  return Array.isArray(value) ? value.length : -1;
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
