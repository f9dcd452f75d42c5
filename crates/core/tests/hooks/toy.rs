//! A two-point module and a trampoline whose callbacks are Rust closures.

use candle_core::Tensor as CT;
use hooklens_core::autograd::record_unary;
use hooklens_core::hooks::{
    AddOptions, CacheStore, CallSite, CallbackId, CaptureOptions, Direction, HandleId, HookBody, HookFilter,
    HookPointId, HookRegistry, PointInfo, Trampoline,
};
use hooklens_core::{BackwardOptions, Error, Result, Tensor};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub(crate) const A: HookPointId = HookPointId(0);
pub(crate) const B: HookPointId = HookPointId(1);
pub(crate) const FWD: Direction = Direction::Forward;
pub(crate) const BWD: Direction = Direction::Backward;

type Function = Arc<dyn Fn(&Tensor, &CallSite<'_>) -> Result<Option<Tensor>> + Send + Sync>;

#[derive(Default)]
pub(crate) struct Functions(Mutex<HashMap<CallbackId, Function>>);

impl Functions {
    pub(crate) fn forget(&self, id: CallbackId) {
        self.0.lock().unwrap().remove(&id);
    }
}

impl Trampoline for Functions {
    fn call(&self, callback: CallbackId, site: CallSite<'_>, value: &Tensor) -> Result<Option<Tensor>> {
        let function = self.0.lock().unwrap().get(&callback).cloned();
        function.map_or(Ok(None), |f| f(value, &site))
    }
}

#[derive(Clone)]
pub(crate) struct Toy {
    pub(crate) registry: HookRegistry,
    pub(crate) functions: Arc<Functions>,
}

pub(crate) fn point(name: &str, axes: &[&str]) -> PointInfo {
    PointInfo { name: name.into(), axes: axes.iter().map(|a| (*a).to_owned()).collect(), default: true }
}

impl Toy {
    pub(crate) fn new() -> Self {
        Self::with_axes(&[])
    }

    pub(crate) fn with_axes(axes: &[&str]) -> Self {
        Self::with_points(vec![point("hook_a", axes), point("hook_b", axes)])
    }

    pub(crate) fn with_points(points: Vec<PointInfo>) -> Self {
        let registry = HookRegistry::new(points).unwrap();
        let functions = Arc::new(Functions::default());
        registry.set_trampoline(functions.clone());
        Self { registry, functions }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let a = self.registry.fire(A, affine(x, 2.0, 0.0))?;
        self.registry.fire(B, affine(&a, 1.0, 1.0))
    }

    pub(crate) fn total(&self, x: &Tensor) -> Result<Tensor> {
        Ok(sum(&self.forward(x)?))
    }

    pub(crate) fn callback(
        &self,
        f: impl Fn(&Tensor, &CallSite<'_>) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> CallbackId {
        let mut functions = self.functions.0.lock().unwrap();
        let id = CallbackId(functions.keys().map(|id| id.0 + 1).max().unwrap_or(1));
        functions.insert(id, Arc::new(f));
        id
    }

    pub(crate) fn hook(
        &self,
        point: HookPointId,
        direction: Direction,
        options: AddOptions,
        f: impl Fn(&Tensor, &CallSite<'_>) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> HandleId {
        let body = HookBody::Callback(self.callback(f));
        self.registry.add(point, direction, body, options).unwrap()
    }

    pub(crate) fn capture(
        &self,
        point: HookPointId,
        direction: Direction,
        cache: &CacheStore,
        options: CaptureOptions,
    ) -> Result<HandleId> {
        let body = HookBody::Capture { cache: cache.clone(), options };
        self.registry.add(point, direction, body, AddOptions::default())
    }

    /// Handles at `hook_a` and `hook_b`, each forward and backward.
    pub(crate) fn counts(&self) -> [[usize; 2]; 2] {
        [A, B].map(|p| {
            [FWD, BWD].map(|d| self.registry.list(Some(p)).iter().filter(|handle| handle.direction == d).count())
        })
    }

    pub(crate) fn reset(&self) {
        self.registry.remove_where(HookFilter::default());
    }
}

/// `a x + b`, with gradient.
pub(crate) fn affine(x: &Tensor, a: f64, b: f64) -> Tensor {
    let y = x.data().affine(a, b).unwrap();
    record_unary("affine", y, x, move |g: &CT| Ok(g.affine(a, 0.0)?)).unwrap()
}

pub(crate) fn sum(x: &Tensor) -> Tensor {
    let dims = x.dims().to_vec();
    let y = x.data().sum_all().unwrap();
    record_unary("sum", y, x, move |g: &CT| Ok(g.broadcast_as(dims.as_slice())?.contiguous()?)).unwrap()
}

/// 1, 2, 3, … in that shape.
pub(crate) fn x(dims: &[usize]) -> Tensor {
    let n: usize = dims.iter().product();
    let data: Vec<f32> = (1..=n).map(|i| i as f32).collect();
    Tensor::from_slice(&data, dims).unwrap()
}

pub(crate) fn values(t: &Tensor) -> Vec<f32> {
    t.to_vec().unwrap()
}

pub(crate) fn grad(t: &Tensor) -> Vec<f32> {
    values(&t.grad().unwrap().unwrap())
}

pub(crate) fn backward(t: &Tensor) -> Result<()> {
    t.backward(None, BackwardOptions::default())
}

pub(crate) fn code<T>(result: Result<T>) -> (&'static str, String) {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(e) => (e.code(), e.to_string()),
    }
}

/// The error that a trampoline gives when a user's function threw.
pub(crate) fn thrown(firing: &CallSite<'_>) -> Error {
    Error::Callback { hook: firing.name.to_owned() }
}

pub(crate) fn prepend() -> AddOptions {
    AddOptions { prepend: true, ..AddOptions::default() }
}

pub(crate) fn permanent() -> AddOptions {
    AddOptions { permanent: true, ..AddOptions::default() }
}

pub(crate) fn level(level: u32) -> AddOptions {
    AddOptions { level: Some(level), ..AddOptions::default() }
}

/// A list that hooks write to.
pub(crate) type Log<T> = Arc<Mutex<Vec<T>>>;

pub(crate) fn log<T>() -> Log<T> {
    Arc::default()
}

pub(crate) fn read<T: Clone>(log: &Log<T>) -> Vec<T> {
    log.lock().unwrap().clone()
}
