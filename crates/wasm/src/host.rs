//! What `host.js` does.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

type Thrown<T> = Result<T, JsValue>;

// What is marked `catch` may run JavaScript of the user's: a getter, a proxy, the function that runs hooks.
#[wasm_bindgen(module = "/src/host.js")]
extern "C" {
    /// False if that was done before.
    pub(crate) fn connect(invoke: &JsValue, release: &JsValue) -> bool;
    #[wasm_bindgen(js_name = defineClass)]
    pub(crate) fn define_class(class: u32, name: &str);
    #[wasm_bindgen(js_name = defineMember)]
    pub(crate) fn define_member(class: u32, name: &str, number: u32, getter: bool);
    #[wasm_bindgen(js_name = defineFunction)]
    pub(crate) fn define_function(name: &str, number: u32);
    pub(crate) fn everything() -> JsValue;
    pub(crate) fn panicked(message: &str);

    pub(crate) fn fail(exception: &JsValue);
    pub(crate) fn error(message: &str) -> JsValue;

    /// See [`crate::page::kinds`].
    pub(crate) fn kind(value: &JsValue) -> u32;
    #[wasm_bindgen(js_name = isNullish)]
    pub(crate) fn is_nullish(value: &JsValue) -> bool;
    #[wasm_bindgen(js_name = toInt64)]
    pub(crate) fn to_int64(value: &JsValue) -> i64;
    /// -1 for what is no array.
    #[wasm_bindgen(catch)]
    pub(crate) fn length(value: &JsValue) -> Thrown<f64>;
    #[wasm_bindgen(catch)]
    pub(crate) fn element(array: &JsValue, at: u32) -> Thrown<JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn field(object: &JsValue, name: &str) -> Thrown<JsValue>;
    /// Names and values in turn.
    #[wasm_bindgen(catch)]
    pub(crate) fn entries(object: &JsValue) -> Thrown<Vec<JsValue>>;

    /// Its [number](hooklens_binding::ArrayType::numbered); -1 for what is no typed array.
    #[wasm_bindgen(js_name = arrayType)]
    pub(crate) fn array_type(value: &JsValue) -> i32;
    #[wasm_bindgen(js_name = elementCount)]
    pub(crate) fn element_count(array: &JsValue) -> u32;
    #[wasm_bindgen(js_name = copyBytes)]
    pub(crate) fn copy_bytes(array: &JsValue, to: &mut [u8]);
    /// Fails where there is no room for the copy.
    #[wasm_bindgen(catch, js_name = arrayOf)]
    pub(crate) fn array_of(of: i32, bytes: &[u8]) -> Thrown<JsValue>;

    #[wasm_bindgen(js_name = makeArray)]
    pub(crate) fn make_array(len: u32) -> JsValue;
    #[wasm_bindgen(js_name = setElement)]
    pub(crate) fn set_element(array: &JsValue, at: u32, value: &JsValue);
    #[wasm_bindgen(js_name = makeObject)]
    pub(crate) fn make_object() -> JsValue;
    #[wasm_bindgen(js_name = setField)]
    pub(crate) fn set_field(object: &JsValue, name: &str, value: &JsValue);
    pub(crate) fn freeze(object: &JsValue);

    pub(crate) fn instance(class: u32, handle: u32) -> JsValue;
    #[wasm_bindgen(js_name = handleOf)]
    pub(crate) fn handle_of(class: u32, value: &JsValue) -> u32;

    #[wasm_bindgen(catch)]
    pub(crate) fn run4(function: &JsValue, a: &JsValue, b: &JsValue, c: &JsValue, d: &JsValue) -> Thrown<JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn run(function: &JsValue, args: &JsValue) -> Thrown<JsValue>;
    pub(crate) fn resolved(value: &JsValue) -> JsValue;
    pub(crate) fn rejected(reason: &JsValue) -> JsValue;
}
