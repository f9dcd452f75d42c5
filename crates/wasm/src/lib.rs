//! The engine as WebAssembly. What it exports and what that does is written in `hooklens-binding`; here is what is this
//! host's own.
//!
//! | file | what it holds |
//! |---|---|
//! | [`page`] | how values of JavaScript are looked at and made |
//! | [`exceptions`] | errors of the binding and exceptions of JavaScript |
//! | `host.js` | the part that only JavaScript can do: classes, finalizers, an end after a trap |

#![allow(missing_docs, reason = "each export is documented once, in the interface that it implements")]

mod exceptions;
mod host;
mod page;

use hooklens_binding::{Class, ClassId, Member, MemberKind, classes, functions, release as end};
use hooklens_core::memory;
use page::Page;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[global_allocator]
static ALLOCATOR: memory::CountingAllocator = memory::CountingAllocator;

/// All members, by the numbers that JavaScript calls them by.
fn members() -> &'static [&'static Member<Page>] {
    static MEMBERS: OnceLock<Vec<&'static Member<Page>>> = OnceLock::new();
    MEMBERS.get_or_init(|| functions().iter().chain(classes().iter().flat_map(|class| class.members)).collect())
}

fn panicked(info: &PanicHookInfo<'_>) {
    host::panicked(&info.to_string());
}

/// Makes the functions and classes, once; gives them as an object. `invoke` and `release` are the exports of those names,
/// which the functions and classes go through.
#[wasm_bindgen]
pub fn exported(invoke: &JsValue, release: &JsValue) -> JsValue {
    if !host::connect(invoke, release) {
        return host::everything();
    }
    std::panic::set_hook(Box::new(panicked));
    for Class { id, name, .. } in classes::<Page>() {
        host::define_class(id as u32, &name.to_string_lossy());
    }
    for (number, member) in members().iter().enumerate() {
        let (name, number) = (member.name.to_string_lossy(), number as u32);
        match member.class {
            None => host::define_function(&name, number),
            Some(class) => host::define_member(class as u32, &name, number, member.kind == MemberKind::Getter),
        }
    }
    host::everything()
}

/// Calls a member on an object, given by its handle, with the first `count` arguments. A list of them would be an array to
/// make and to take apart in every call; no member has more than five.
#[wasm_bindgen]
#[allow(clippy::too_many_arguments, reason = "called by host.js alone, which has them one by one")]
pub fn invoke(
    member: u32,
    this: u32,
    count: usize,
    a: JsValue,
    b: JsValue,
    c: JsValue,
    d: JsValue,
    e: JsValue,
) -> JsValue {
    let args = [a, b, c, d, e];
    let args = args.get(..count).unwrap_or(&args);
    exceptions::settled(match members().get(member as usize) {
        Some(member) => hooklens_binding::invoke(Page, member, Some(this), args),
        None => Err(hooklens_core::Error::Internal { detail: format!("there is no member {member}") }),
    })
}

/// Ends the handle of an object that was collected.
#[wasm_bindgen]
pub fn release(class: u32, handle: u32) {
    if let Some(class) = ClassId::ALL.get(class as usize) {
        end(*class, handle);
    }
}
