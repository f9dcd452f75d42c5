//! The binding's functions and classes, exported.
//!
//! One callback serves all members: Node hands it the member that it was registered with. An object carries its class
//! and its handle where a pointer would be, so that an object of another addon, which carries a pointer, can never be
//! taken for one of ours.

use crate::exceptions::{failed, throw};
use crate::memory;
use crate::node::Node;
use crate::persistent::Persistent;
use hooklens_binding::{Class, ClassId, Handle, Member, MemberKind, classes, functions, invoke, release};
use hooklens_core::Result;
use napi::{check_status, sys};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

/// The most arguments that a member takes.
const ARGS: usize = 5;

/// Upper bits of what objects carry, above the class and unlike those of any address.
const MARK: u64 = 0x7e45;

thread_local! {
    /// The constructors, by class.
    static CONSTRUCTORS: [Persistent; ClassId::ALL.len()] = const { [const { Persistent::new() }; ClassId::ALL.len()] };
}

fn word(class: ClassId, handle: Handle) -> *mut c_void {
    ((MARK << 8 | class as u64) << 32 | u64::from(handle)) as usize as *mut c_void
}

fn handle(class: ClassId, carried: *mut c_void) -> Option<Handle> {
    let handle = carried as usize as u64 as u32;
    (word(class, handle) == carried).then_some(handle)
}

/// Makes an object of a class.
///
/// # Safety
/// `env` must be live.
pub(crate) unsafe fn instance(env: sys::napi_env, class: ClassId, handle: Handle) -> napi::Result<sys::napi_value> {
    let mut object = null_mut();
    // SAFETY: the caller's promise, and the class was made in `env`.
    let made = unsafe {
        let constructor = CONSTRUCTORS.with(|kept| kept.get(class as usize)?.get(env));
        constructor.ok_or_else(|| napi::Error::from_reason(format!("{class:?} is not registered here"))).and_then(
            |constructor| {
                check_status!(sys::napi_new_instance(env, constructor, 0, null_mut(), &mut object))?;
                let carried = word(class, handle);
                check_status!(sys::napi_wrap(env, object, carried, Some(finalize), class as usize as _, null_mut()))
            },
        )
    };
    if made.is_err() {
        release(class, handle);
    }
    made.map(|()| object)
}

/// What an object of a class stands for.
///
/// # Safety
/// `env` and `value` must be live.
pub(crate) unsafe fn unwrap(env: sys::napi_env, class: ClassId, value: sys::napi_value) -> Option<Handle> {
    let mut carried = null_mut();
    // SAFETY: the caller's promise; what carries nothing is refused by the call.
    match unsafe { sys::napi_unwrap(env, value, &mut carried) } {
        sys::Status::napi_ok => handle(class, carried),
        _ => None,
    }
}

/// Runs inside garbage collection: it must not touch JavaScript.
unsafe extern "C" fn finalize(env: sys::napi_env, carried: *mut c_void, class: *mut c_void) {
    // A panic in some drop must not unwind into V8; there is nobody to tell.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if let Some(class) = ClassId::ALL.get(class as usize)
            && let Some(handle) = handle(*class, carried)
        {
            release(*class, handle);
        }
        memory::report_freed(env);
    }));
}

/// Every member, as Node calls it.
unsafe extern "C" fn member(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: Node calls this with live pointers, and with the member that it was registered with.
    unsafe { call(env, info) }.unwrap_or_else(|error| {
        // SAFETY: a live environment; exceptions of JavaScript are taken where they come up.
        unsafe { throw(env, &error) };
        null_mut()
    })
}

/// # Safety
/// Both must be what Node passed to the callback of a member.
unsafe fn call(env: sys::napi_env, info: sys::napi_callback_info) -> Result<sys::napi_value> {
    let (mut this, mut data, mut count, mut args) = (null_mut(), null_mut(), ARGS, [null_mut(); ARGS]);
    // SAFETY: the caller's promise; there is room for the arguments asked for. Node fills up with `undefined`.
    unsafe {
        check_status!(sys::napi_get_cb_info(env, info, &mut count, args.as_mut_ptr(), &mut this, &mut data))
            .map_err(failed)?;
        let member = &*data.cast_const().cast::<Member<Node>>();
        let this = member.class.and_then(|class| unwrap(env, class, this));
        invoke(Node::of(env), member, this, &args)
    }
}

fn descriptor(of: &'static Member<Node>) -> sys::napi_property_descriptor {
    let (method, getter) = match of.kind {
        MemberKind::Method => (Some(member as _), None),
        MemberKind::Getter => (None, Some(member as _)),
    };
    sys::napi_property_descriptor {
        utf8name: of.name.as_ptr(),
        name: null_mut(),
        method,
        getter,
        setter: None,
        value: null_mut(),
        attributes: sys::PropertyAttributes::configurable
            | sys::PropertyAttributes::writable
            | if of.class.is_none() { sys::PropertyAttributes::enumerable } else { 0 },
        data: std::ptr::from_ref(of).cast_mut().cast(),
    }
}

unsafe extern "C" fn construct(_env: sys::napi_env, _info: sys::napi_callback_info) -> sys::napi_value {
    // Whoever makes one in JavaScript gets an object without a value, which every method refuses.
    null_mut()
}

/// Exports all functions and classes.
pub(crate) fn export(env: sys::napi_env, exports: sys::napi_value) -> napi::Result<()> {
    let functions: Vec<_> = functions().iter().map(descriptor).collect();
    // SAFETY: a live environment; names and callbacks are static, and the length is the list's.
    check_status!(unsafe { sys::napi_define_properties(env, exports, functions.len(), functions.as_ptr()) })?;
    for Class { id, name, members } in classes() {
        let members: Vec<_> = members.iter().map(descriptor).collect();
        let mut class = null_mut();
        // SAFETY: as above.
        unsafe {
            check_status!(sys::napi_define_class(
                env,
                name.as_ptr(),
                name.count_bytes() as isize,
                Some(construct),
                null_mut(),
                members.len(),
                members.as_ptr(),
                &mut class,
            ))?;
            check_status!(sys::napi_set_named_property(env, exports, name.as_ptr(), class))?;
            CONSTRUCTORS.with(|kept| kept.get(id as usize).map_or(Ok(()), |place| place.set(env, class)))?;
        }
    }
    Ok(())
}
