//! Members of classes, as data: what a host exports, and calls with [`invoke`].

use crate::args::FromJs;
use crate::boundary::{UNKNOWN_CALL, caught, keep_limit, named, with_second_chance};
use crate::handles::{self, ClassId, Handle, Held, not_ours};
use crate::js::Js;
use crate::results::ToJs;
use crate::{cache, engine, generation, kv_cache, loading, model, registry, run, tensor, upload};
use hooklens_core::Result;
use std::ffi::CStr;
use std::marker::PhantomData;

/// How a member is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A property that is read.
    Getter,
    /// A function.
    Method,
}

/// What a member does besides giving a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it looks at something.
    Look,
    /// Something that has happened when it returns, such as a hook added or removed. The memory limit is not looked at:
    /// such an effect must not be reported as a failure because of tensors made elsewhere.
    Act,
    /// It makes tensors: it fails if more is held afterwards than the memory limit allows.
    Make,
    /// [`Effect::Make`], and it has no effect when it fails: if it ran into the memory limit and garbage collection makes
    /// room, it gets a second chance.
    Pure,
}

/// Takes what a member was called on and its arguments.
type Run<J, V> = fn(J, Option<Handle>, &[V]) -> Result<V>;

/// A function, or a member of a class.
pub struct Member<J: Js> {
    /// Its name in JavaScript.
    pub name: &'static CStr,
    /// How it is used.
    pub kind: MemberKind,
    /// The class whose objects it is called on, if it is a member of one.
    pub class: Option<ClassId>,
    pub(crate) run: Run<J, <J as Js>::Value>,
}

/// A class.
pub struct Class<J: Js> {
    /// Which one.
    pub id: ClassId,
    /// Its name in JavaScript.
    pub name: &'static CStr,
    /// Its members.
    pub members: &'static [Member<J>],
}

/// All classes, in the order of [`ClassId`].
pub fn classes<J: Js>() -> [Class<J>; ClassId::ALL.len()] {
    ClassId::ALL.map(|id| {
        let (name, members) = match id {
            ClassId::Tensor => (c"EngineTensor", tensor::members()),
            ClassId::Registry => (c"EngineRegistry", registry::members()),
            ClassId::Cache => (c"EngineCache", cache::members()),
            ClassId::Model => (c"EngineModel", model::members()),
            ClassId::Run => (c"EngineRun", run::members()),
            ClassId::KvCache => (c"EngineKvCache", kv_cache::members()),
            ClassId::Generation => (c"EngineGeneration", generation::members()),
            ClassId::Loading => (c"EngineLoading", loading::members()),
            ClassId::Upload => (c"EngineUpload", upload::members()),
        };
        Class { id, name, members }
    })
}

/// The functions of the engine itself.
pub fn functions<J: Js>() -> &'static [Member<J>] {
    engine::functions()
}

/// Calls a member. `this` is the handle of the object that it was called on, if it is one of the member's class;
/// arguments that are not there are undefined.
pub fn invoke<J: Js>(js: J, member: &Member<J>, this: Option<Handle>, args: &[J::Value]) -> Result<J::Value> {
    caught(|| (member.run)(js, this, args)).map_err(|error| named(error, member.name.to_str().unwrap_or(UNKNOWN_CALL)))
}

/// One call of a member of `T`'s class.
pub(crate) struct Call<'a, J: Js, T> {
    pub(crate) js: J,
    this: Option<Handle>,
    args: &'a [J::Value],
    of: PhantomData<T>,
}

impl<J: Js, T> Call<'_, J, T> {
    /// An argument as it is.
    pub(crate) fn given(&self, at: usize) -> Result<J::Value> {
        self.args.get(at).map_or_else(|| self.js.undefined(), |value| Ok(value.clone()))
    }

    /// An argument.
    pub(crate) fn arg<A: FromJs<J>>(&self, at: usize) -> Result<A> {
        match self.args.get(at) {
            Some(value) => A::from_js(self.js, value),
            None => A::from_js(self.js, &self.js.undefined()?),
        }
    }
}

impl<J: Js, T: Held> Call<'_, J, T> {
    pub(crate) fn handle(&self) -> Result<Handle> {
        self.this.ok_or_else(|| not_ours::<T>("another object"))
    }

    /// What the object stands for.
    pub(crate) fn value(&self) -> Result<T> {
        handles::held(self.handle()?)
    }
}

/// Runs the body of a member and converts its result.
pub(crate) fn run<J: Js, T, R: ToJs<J>>(
    js: J,
    this: Option<Handle>,
    args: &[J::Value],
    effect: Effect,
    body: impl Fn(&Call<'_, J, T>) -> Result<R>,
) -> Result<J::Value> {
    let call = Call { js, this, args, of: PhantomData };
    if effect == Effect::Look {
        return body(&call)?.to_js(js);
    }
    let entered = js.enter();
    let result = match effect {
        Effect::Pure => with_second_chance(js, || body(&call)),
        _ => body(&call),
    };
    drop(entered);
    js.report();
    let result = result?;
    if effect != Effect::Act {
        keep_limit(js)?;
    }
    result.to_js(js)
}

/// What members belong to: a class, or nothing.
pub(crate) trait Owner {
    const CLASS: Option<ClassId>;
}

impl<T: Held> Owner for T {
    const CLASS: Option<ClassId> = Some(T::CLASS);
}

impl Owner for () {
    const CLASS: Option<ClassId> = None;
}

/// Makes a list of [`Member`]s of closures. In front of each: how it is used, and its [`Effect`].
macro_rules! members {
    ($js:ident, $of:ty: $( $kind:ident $effect:ident $name:literal => $body:expr; )*) => {
        const { &[ $( $crate::class::Member {
            name: $name,
            kind: $crate::class::members!(@ $kind),
            class: <$of as $crate::class::Owner>::CLASS,
            run: |js: $js, this, args| {
                $crate::class::run::<$js, $of, _>(js, this, args, $crate::class::Effect::$effect, $body)
            },
        } ),* ] }
    };
    (@ get) => { $crate::class::MemberKind::Getter };
    (@ fun) => { $crate::class::MemberKind::Method };
}
pub(crate) use members;
