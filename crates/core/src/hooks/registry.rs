//! Who listens where: adding, removing and listing hooks.

use super::callback::{CallbackTable, CallbackToken};
use super::capture::Capture;
use super::intervention::{Attached, Intervention};
use super::{CacheStore, CallbackId, CaptureOptions, HookPointId, PointBounds, PointInfo, Trampoline};
use crate::autograd::lock;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// Which way data pass the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The activation, during a forward pass.
    Forward,
    /// The gradient of the point's output, during backward.
    Backward,
}

impl Direction {
    const BOTH: [Self; 2] = [Self::Forward, Self::Backward];

    /// The direction called `fwd` or `bwd`.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "fwd" => Ok(Self::Forward),
            "bwd" => Ok(Self::Backward),
            _ => Err(Error::InvalidArgument {
                op: "hook",
                detail: format!("invalid direction '{name}': expected 'fwd' or 'bwd'"),
            }),
        }
    }

    /// `fwd` or `bwd`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "fwd",
            Self::Backward => "bwd",
        }
    }

    pub(super) const fn bit(self) -> u8 {
        match self {
            Self::Forward => 1,
            Self::Backward => 2,
        }
    }
}

/// What runs at a point.
#[derive(Clone)]
pub enum HookBody {
    /// A function of the binding, called through the registry's [`Trampoline`].
    Callback(CallbackId),
    /// Edits what passes.
    Intervention {
        /// The edit.
        intervention: Intervention,
        /// The tensors that it refers to.
        tensors: Vec<Tensor>,
    },
    /// Stores what passes.
    Capture {
        /// Where to.
        cache: CacheStore,
        /// How.
        options: CaptureOptions,
    },
}

/// What a handle runs, for introspection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// See [`HookBody::Callback`].
    Callback(CallbackId),
    /// See [`HookBody::Intervention`].
    Intervention,
    /// See [`HookBody::Capture`].
    Capture,
}

/// How a hook is added.
#[derive(Clone, Debug, Default)]
pub struct AddOptions {
    /// Survive every removal that does not say otherwise.
    pub permanent: bool,
    /// The nesting level of the scope that adds it. A label to list and remove by; it owns nothing.
    pub level: Option<u32>,
    /// Run before the hooks that are there already, instead of after.
    pub prepend: bool,
    /// Run once per alias, each time under that name, instead of once under the point's own. Each run sees what the one
    /// before made of the value. For callbacks and captures only: an edit would be applied several times.
    pub aliases: Vec<String>,
    /// Let a callback put a value of another shape in place of an activation. What comes after must be able to use it:
    /// shapes broadcast there as anywhere, or the forward fails. The number of axes must stay at points that declare
    /// theirs. Not for gradients, which have the shape of what they are gradients of.
    pub allow_shape_change: bool,
}

/// A hook's number within its registry, never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandleId(pub u64);

/// A hook as it is attached.
#[derive(Clone, Debug)]
pub struct HandleInfo {
    /// Its number.
    pub handle: HandleId,
    /// Where it is attached.
    pub point: HookPointId,
    /// In which direction.
    pub direction: Direction,
    /// See [`AddOptions::permanent`].
    pub permanent: bool,
    /// See [`AddOptions::level`].
    pub level: Option<u32>,
    /// What it runs.
    pub body: BodyKind,
}

/// Selects hooks. What is `None` selects all; permanent hooks must be asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct HookFilter {
    /// Only at this point.
    pub point: Option<HookPointId>,
    /// Only in this direction.
    pub direction: Option<Direction>,
    /// Permanent ones too.
    pub including_permanent: bool,
    /// Only of this level.
    pub level: Option<u32>,
}

impl HookFilter {
    fn wants(&self, entry: &Entry) -> bool {
        (self.including_permanent || !entry.permanent) && (self.level.is_none() || self.level == entry.level)
    }
}

/// A hook in a point's list.
pub(super) struct Entry {
    handle: HandleId,
    permanent: bool,
    level: Option<u32>,
    pub(super) aliases: Vec<String>,
    pub(super) allow_shape_change: bool,
    pub(super) body: Body,
}

pub(super) enum Body {
    Callback(Arc<CallbackToken>),
    Intervention(Attached),
    Capture(Capture),
}

/// An immutable list of hooks in execution order.
pub(super) type Entries = Arc<[Arc<Entry>]>;

struct Slot {
    info: PointInfo,
    bounds: OnceLock<PointBounds>,
    /// By [`Direction`]. Locked only to copy or swap the pointer.
    entries: [RwLock<Entries>; 2],
}

/// The hook points of one model and the hooks attached to them. Clones share both.
#[derive(Clone)]
pub struct HookRegistry(Arc<Shared>);

struct Shared {
    /// A byte a point, apart from the rest so that asking "does anybody listen" touches few cache lines.
    watched: Box<[AtomicU8]>,
    slots: Vec<Slot>,
    by_name: HashMap<String, HookPointId>,
    /// Where each live handle is. Held during every change, so that changes follow one another.
    handles: Mutex<HashMap<HandleId, (HookPointId, Direction)>>,
    next_handle: AtomicU64,
    open_scopes: AtomicU32,
    recorded: AtomicUsize,
    callbacks: CallbackTable,
    trampoline: RwLock<Option<Arc<dyn Trampoline>>>,
}

impl HookRegistry {
    /// A registry with these points, in this order. Names must be unique and not empty.
    pub fn new(points: Vec<PointInfo>) -> Result<Self> {
        let invalid = |detail: String| Error::InvalidArgument { op: "hookPoints", detail };
        let mut by_name = HashMap::with_capacity(points.len());
        for (i, point) in points.iter().enumerate() {
            if point.name.is_empty() {
                return Err(invalid(format!("point {i} has an empty name")));
            }
            let id = u32::try_from(i).map_err(|_| invalid(format!("{} points are too many", points.len())))?;
            if by_name.insert(point.name.clone(), HookPointId(id)).is_some() {
                return Err(invalid(format!("two points are called '{}'", point.name)));
            }
            let twice = point.axes.iter().enumerate().find(|&(i, axis)| point.axes[..i].contains(axis));
            if let Some((_, axis)) = twice {
                return Err(invalid(format!("point '{}' has two axes called '{axis}'", point.name)));
            }
        }
        let slots: Vec<Slot> = points
            .into_iter()
            .map(|info| Slot {
                info,
                bounds: OnceLock::new(),
                entries: Direction::BOTH.map(|_| RwLock::new(Entries::from([]))),
            })
            .collect();
        Ok(Self(Arc::new(Shared {
            watched: slots.iter().map(|_| AtomicU8::new(0)).collect(),
            slots,
            by_name,
            handles: Mutex::default(),
            next_handle: AtomicU64::new(1),
            open_scopes: AtomicU32::new(0),
            recorded: AtomicUsize::new(0),
            callbacks: CallbackTable::default(),
            trampoline: RwLock::new(None),
        })))
    }

    /// The points, in order: the place of each is its [`HookPointId`].
    pub fn points(&self) -> impl ExactSizeIterator<Item = &PointInfo> {
        self.0.slots.iter().map(|slot| &slot.info)
    }

    /// The point of exactly that name.
    pub fn find(&self, name: &str) -> Option<HookPointId> {
        self.0.by_name.get(name).copied()
    }

    /// What is known of a point.
    pub fn info(&self, point: HookPointId) -> Result<&PointInfo> {
        self.slot(point).map(|slot| &slot.info)
    }

    /// Declares what is known of a point's activations. Once a point; later calls are ignored.
    ///
    /// # Errors
    /// `invalid_argument` unless there is a size for each of the point's axes, or for none.
    pub fn declare(&self, point: HookPointId, bounds: PointBounds) -> Result<()> {
        let slot = self.slot(point)?;
        if !bounds.sizes.is_empty() && bounds.sizes.len() != slot.info.axes.len() {
            return Err(Error::InvalidArgument {
                op: "hookPoints",
                detail: format!(
                    "{} sizes for the {} axes of '{}'",
                    bounds.sizes.len(),
                    slot.info.axes.len(),
                    slot.info.name
                ),
            });
        }
        slot.bounds.get_or_init(|| bounds);
        Ok(())
    }

    /// Sets what runs callbacks, in place of what did before.
    pub fn set_trampoline(&self, trampoline: Arc<dyn Trampoline>) {
        *self.0.trampoline.write().unwrap_or_else(PoisonError::into_inner) = Some(trampoline);
    }

    pub(super) fn trampoline(&self) -> Option<Arc<dyn Trampoline>> {
        self.0.trampoline.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether anything is attached to the point, in either direction: if not, its activation need not exist.
    #[inline]
    pub fn observed(&self, point: HookPointId) -> bool {
        self.watched(point) != 0
    }

    /// The [`Direction::bit`]s that have hooks. A number that is no point has all, so that firing it looks closer.
    #[inline]
    pub(super) fn watched(&self, point: HookPointId) -> u8 {
        self.0.watched.get(point.0 as usize).map_or(u8::MAX, |bits| bits.load(Ordering::Relaxed))
    }

    fn slot(&self, point: HookPointId) -> Result<&Slot> {
        self.0.slots.get(point.0 as usize).ok_or_else(|| Error::IndexOutOfRange {
            op: "hookPoint",
            index: i64::from(point.0),
            size: self.0.slots.len(),
        })
    }

    /// The hooks of a point as they are now.
    pub(super) fn entries(&self, point: HookPointId, direction: Direction) -> Result<Entries> {
        let list = &self.slot(point)?.entries[direction as usize];
        Ok(Arc::clone(&list.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Attaches a hook. It runs from the next firing on; firings in progress are not disturbed.
    pub fn add(
        &self,
        point: HookPointId,
        direction: Direction,
        body: HookBody,
        options: AddOptions,
    ) -> Result<HandleId> {
        let slot = self.slot(point)?;
        if options.allow_shape_change && (direction == Direction::Backward || !matches!(body, HookBody::Callback(_))) {
            return Err(Error::InvalidArgument {
                op: "addHook",
                detail: "only functions on activations may change shapes: a gradient has the shape of its activation"
                    .into(),
            });
        }
        let handle = HandleId(self.0.next_handle.fetch_add(1, Ordering::Relaxed));
        let body = match body {
            HookBody::Callback(id) => {
                if self.trampoline().is_none() {
                    return Err(Error::InvalidArgument {
                        op: "addHook",
                        detail: "this registry has no trampoline that could run a callback".into(),
                    });
                }
                Body::Callback(self.0.callbacks.token(id))
            }
            HookBody::Intervention { intervention, tensors } => {
                if !options.aliases.is_empty() {
                    return Err(Error::InvalidIntervention {
                        hook: slot.info.name.clone(),
                        detail: "aliases would apply the edit several times".into(),
                    });
                }
                let unknown = PointBounds::default();
                let bounds = slot.bounds.get().unwrap_or(&unknown);
                Body::Intervention(Attached::new(&intervention, &tensors, &slot.info, bounds, direction)?)
            }
            HookBody::Capture { cache, options: capture } => {
                if capture.key.is_some() && options.aliases.len() > 1 {
                    return Err(Error::InvalidArgument {
                        op: "addHook",
                        detail: "a capture with a key cannot have several aliases".into(),
                    });
                }
                Body::Capture(Capture::new(handle.0, &slot.info.name, direction, cache, capture)?)
            }
        };
        let AddOptions { permanent, level, prepend, aliases, allow_shape_change } = options;
        let entry = Arc::new(Entry { handle, permanent, level, aliases, allow_shape_change, body });
        let mut handles = lock(&self.0.handles);
        handles.insert(handle, (point, direction));
        self.change(point, direction, |list| list.insert(if prepend { 0 } else { list.len() }, entry))?;
        Ok(handle)
    }

    /// Attaches a hook to each of several points, or to none if one of them refuses it.
    ///
    /// # Errors
    /// As of [`HookRegistry::add`].
    pub fn add_to_all(
        &self,
        points: &[HookPointId],
        direction: Direction,
        body: &HookBody,
        options: &AddOptions,
    ) -> Result<Vec<HandleId>> {
        let mut added = Vec::with_capacity(points.len());
        for &point in points {
            match self.add(point, direction, body.clone(), options.clone()) {
                Ok(handle) => added.push(handle),
                Err(error) => {
                    for handle in added {
                        self.remove(handle);
                    }
                    return Err(error);
                }
            }
        }
        Ok(added)
    }

    /// Detaches a hook; false if it was gone already.
    pub fn remove(&self, handle: HandleId) -> bool {
        let mut handles = lock(&self.0.handles);
        let Some((point, direction)) = handles.remove(&handle) else { return false };
        let removed = self.change(point, direction, |list| list.retain(|entry| entry.handle != handle));
        drop(handles);
        removed.is_ok()
    }

    /// Detaches all hooks that the filter selects; gives their handles.
    pub fn remove_where(&self, filter: HookFilter) -> Vec<HandleId> {
        let mut handles = lock(&self.0.handles);
        let mut removed = Vec::new();
        let mut replaced = Vec::new();
        for (point, direction, list) in self.lists(filter.point, filter.direction) {
            let before = removed.len();
            removed.extend(list.iter().filter(|entry| filter.wants(entry)).map(|entry| entry.handle));
            if removed.len() > before {
                replaced.extend(self.change(point, direction, |list| list.retain(|entry| !filter.wants(entry))));
            }
        }
        for handle in &removed {
            handles.remove(handle);
        }
        drop(handles);
        removed
    }

    /// The hooks attached to a point, or to any: point by point, forward before backward, in execution order.
    pub fn list(&self, point: Option<HookPointId>) -> Vec<HandleInfo> {
        let _unchanging = lock(&self.0.handles);
        self.lists(point, None)
            .flat_map(|(point, direction, list)| {
                list.iter()
                    .map(|entry| HandleInfo {
                        handle: entry.handle,
                        point,
                        direction,
                        permanent: entry.permanent,
                        level: entry.level,
                        body: match &entry.body {
                            Body::Callback(token) => BodyKind::Callback(token.id),
                            Body::Intervention(_) => BodyKind::Intervention,
                            Body::Capture(_) => BodyKind::Capture,
                        },
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Whether the filter selects any hook.
    pub fn has_hooks(&self, filter: HookFilter) -> bool {
        self.lists(filter.point, filter.direction).any(|(.., list)| list.iter().any(|entry| filter.wants(entry)))
    }

    /// Whether anything is being captured at any point.
    pub fn is_caching(&self) -> bool {
        self.lists(None, None).any(|(.., list)| list.iter().any(|entry| matches!(entry.body, Body::Capture(_))))
    }

    /// Callbacks that neither a handle nor a recorded graph refers to any more, each once: the binding may forget them.
    pub fn drain_released(&self) -> Vec<CallbackId> {
        self.0.callbacks.drain_released()
    }

    /// How many recorded operations, in graphs that are still alive, run hooks of this registry when a backward walk
    /// passes them. A binding must keep its functions while there are any, also if nobody else refers to the registry.
    pub fn recorded(&self) -> usize {
        self.0.recorded.load(Ordering::Relaxed)
    }

    pub(super) fn recorded_count(&self) -> &AtomicUsize {
        &self.0.recorded
    }

    pub(super) fn open_scopes(&self) -> &AtomicU32 {
        &self.0.open_scopes
    }

    /// The number of scopes open now.
    pub fn context_level(&self) -> u32 {
        self.0.open_scopes.load(Ordering::Relaxed)
    }

    fn lists(
        &self,
        point: Option<HookPointId>,
        direction: Option<Direction>,
    ) -> impl Iterator<Item = (HookPointId, Direction, Entries)> {
        (0u32..)
            .map(HookPointId)
            .take(self.0.slots.len())
            .filter(move |&p| point.is_none_or(|wanted| wanted == p) && self.watched(p) != 0)
            .flat_map(|p| Direction::BOTH.map(|d| (p, d)))
            .filter(move |&(_, d)| direction.is_none_or(|wanted| wanted == d))
            .filter_map(|(p, d)| Some((p, d, self.entries(p, d).ok()?)))
    }

    /// Replaces a list by an edited copy; gives the old one, to be freed when no lock is held. The caller holds the lock
    /// on `handles`.
    fn change(
        &self,
        point: HookPointId,
        direction: Direction,
        edit: impl FnOnce(&mut Vec<Arc<Entry>>),
    ) -> Result<Entries> {
        let mut list = self.entries(point, direction)?.to_vec();
        edit(&mut list);
        let listening = !list.is_empty();
        let slot = &self.slot(point)?.entries[direction as usize];
        let old = std::mem::replace(&mut *slot.write().unwrap_or_else(PoisonError::into_inner), list.into());
        if let Some(bits) = self.0.watched.get(point.0 as usize) {
            if listening {
                bits.fetch_or(direction.bit(), Ordering::Release);
            } else {
                bits.fetch_and(!direction.bit(), Ordering::Release);
            }
        }
        Ok(old)
    }
}
