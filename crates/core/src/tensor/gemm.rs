//! Batched matrix products over any strides.
//!
//! candle's own product takes few stride patterns and no `bf16` on the CPU; this one hands the strides of both
//! operands to the kernels or to `gemm`, so that transposed and broadcast operands are never copied, folds batches that
//! share their right operand into one product, and can start from a bias instead of zeros. In WebAssembly all products
//! are the kernels', and `gemm` is not part of the engine.

#[cfg(not(target_family = "wasm"))]
use super::host::contiguous;
use super::host::{read, read_all, upload};
use super::kernels::{self, Finish, Half, Operand, Strided};
use super::{CT, broadcast_dims};
use crate::error::{Error, Result};
use candle_core::{DType, WithDType};
use half::{bf16, f16};
use hooklens_kernels::threads::share_pieces;
use std::mem::MaybeUninit;

/// The product of one matrix pair is split over threads from this many multiplications on; smaller ones of a batch
/// run beside each other.
const SPLIT_ONE: usize = 1 << 22;
/// Below this many multiplications in all, waking a second thread costs more than it gains.
const SPLIT_BATCH: usize = 1 << 18;
/// From so many rows on, our own kernel is as fast as `gemm` or faster; where there is no `gemm`, it always is.
const PACKED_ROWS: usize = if cfg!(target_family = "wasm") { 2 } else { 12 };

/// `a @ b`, plus `bias` on each row if given: `[.., m, k] @ [.., k, n] -> [.., m, n]`, batch axes broadcast.
///
/// Both operands have rank 2 or more and the same dtype. Halves are computed in `f32`; integers wrap.
pub(crate) fn product(op: &'static str, a: &CT, b: &CT, bias: Option<&CT>) -> Result<CT> {
    let plan = Plan::new(op, a.dims(), b.dims())?;
    let size = a.dtype().size_in_bytes();
    crate::memory::require_tensor(op, &plan.out_dims(), size)?;
    if size == 2 {
        crate::memory::require_tensor(op, a.dims(), size_of::<f32>())?;
        crate::memory::require_tensor(op, &plan.out_dims(), size_of::<f32>())?;
    }
    match a.dtype() {
        DType::BF16 | DType::F16 if a.device().is_cpu() => {
            let ours = match a.dtype() {
                DType::F16 => by_halves::<f16>(&plan, a, b, bias)?,
                _ => by_halves::<bf16>(&plan, a, b, bias)?,
            };
            if let Some(out) = ours {
                return Ok(out);
            }
            crate::memory::require_tensor(op, b.dims(), size_of::<f32>())?;
            let wide = |t: &CT| t.to_dtype(DType::F32);
            let bias = bias.map(wide).transpose()?;
            Ok(product(op, &wide(a)?, &wide(b)?, bias.as_ref())?.to_dtype(a.dtype())?)
        }
        DType::F32 if a.device().is_cpu() => required(op, floats::<f32>(&plan, a, b, bias, None)?),
        DType::F64 if a.device().is_cpu() => required(op, floats::<f64>(&plan, a, b, bias, None)?),
        DType::U8 => integers::<u8>(&plan, a, b, u8::wrapping_mul, u8::wrapping_add),
        DType::U32 => integers::<u32>(&plan, a, b, u32::wrapping_mul, u32::wrapping_add),
        DType::I64 => integers::<i64>(&plan, a, b, i64::wrapping_mul, i64::wrapping_add),
        #[cfg(not(target_family = "wasm"))]
        _ => on_device(&plan, a, b, bias),
        // There is no other device, and candle's products on the CPU would come into the engine with it.
        #[cfg(target_family = "wasm")]
        dtype => Err(Error::Internal { detail: format!("{op}: no kernel multiplies {dtype:?}") }),
    }
}

/// `finish` of `a @ b + bias`, for `b` `[k, n]`, in one pass over memory; `None` where our own kernels do not apply.
pub(super) fn finished_product(
    op: &'static str,
    a: &CT,
    b: &CT,
    bias: Option<&CT>,
    finish: Finish<'_>,
) -> Result<Option<CT>> {
    let ours = a.dtype() == DType::F32 && a.device().is_cpu() && b.rank() == 2 && kernels::multiplies();
    if !ours {
        return Ok(None);
    }
    let plan = Plan::new(op, a.dims(), b.dims())?;
    crate::memory::require_tensor(op, &plan.out_dims(), size_of::<f32>())?;
    floats::<f32>(&plan, a, b, bias, Some(finish))
}

/// A product of halves whose right operand all batches share, as weights are: it is widened where it is laid out, and
/// never exists whole in single precision. `None` where our own kernels do not apply.
fn by_halves<T: Half + WithDType>(plan: &Plan, a: &CT, b: &CT, bias: Option<&CT>) -> Result<Option<CT>> {
    let &[row, column] = b.stride() else { return Ok(None) };
    let size @ [m, n, k] = [plan.batches() * plan.m, plan.n, plan.k];
    if !kernels::multiplies() || m * n == 0 {
        return Ok(None);
    }
    let wide = |x: &CT| {
        read_all::<T, _>(x, |x| {
            let mut wide = vec![0f32; x.len()];
            T::widen(x, &mut wide);
            Ok(wide)
        })
    };
    let (rows, bias) = (wide(a)?, bias.map(wide).transpose()?);
    let mut values = Vec::with_capacity(m * n);
    let out = &mut values.spare_capacity_mut()[..m * n];
    let rows = Strided { data: &rows, row: k, column: 1 };
    let done = read::<T, _>(b, |data, layout| {
        let b = T::operand(Strided { data: &data[layout.start_offset()..], row, column });
        Ok(kernels::multiply(size, rows, b, bias.as_deref(), None, out))
    })?;
    if !done {
        return Ok(None);
    }
    // SAFETY: the product above wrote every element.
    unsafe { values.set_len(m * n) };
    upload(T::narrowed(&values), &plan.out_dims(), a.device()).map(Some)
}

fn required(op: &'static str, product: Option<CT>) -> Result<CT> {
    product.ok_or_else(|| Error::Internal { detail: format!("{op}: no kernel multiplied") })
}

/// The sizes of a batched product.
struct Plan {
    batch: Vec<usize>,
    m: usize,
    n: usize,
    k: usize,
}

impl Plan {
    fn new(op: &'static str, a: &[usize], b: &[usize]) -> Result<Self> {
        let ([a_batch @ .., m, k], [b_batch @ .., k2, n]) = (a, b) else {
            return Err(Error::RankMismatch { op, detail: format!("needs matrices, got shapes {a:?} and {b:?}") });
        };
        if k != k2 {
            return Err(Error::ShapeMismatch {
                op,
                detail: format!("inner sizes differ: {a:?} times {b:?} needs {k} equal to {k2}"),
            });
        }
        Ok(Self { batch: broadcast_dims(op, a_batch, b_batch)?, m: *m, n: *n, k: *k })
    }

    fn out_dims(&self) -> Vec<usize> {
        [self.batch.as_slice(), &[self.m, self.n]].concat()
    }

    fn batches(&self) -> usize {
        self.batch.iter().product()
    }

    /// The strides of an operand along the batch axes (0 where it is broadcast).
    fn batch_strides(&self, dims: &[usize], strides: &[usize]) -> Vec<usize> {
        let own = dims.len() - 2;
        let lead = self.batch.len() - own;
        (0..self.batch.len()).map(|i| if i < lead || dims[i - lead] == 1 { 0 } else { strides[i - lead] }).collect()
    }

    /// The offset of each batch entry of an operand with those batch strides.
    fn offsets(&self, strides: &[usize]) -> Vec<usize> {
        let mut offsets = vec![0];
        for (&n, &s) in self.batch.iter().zip(strides) {
            offsets = offsets.iter().flat_map(|&o| (0..n).map(move |i| o + i * s)).collect();
        }
        offsets
    }
}

/// The row stride with which all batches of an operand follow one another as rows of one matrix, if there is one.
fn stacked_row_stride(batch: &[usize], batch_strides: &[usize], rows: usize, row_stride: usize) -> Option<usize> {
    let mut next = row_stride * rows;
    // A single row has no stride of its own: the innermost batch axis then says how far apart the rows are.
    let mut row = (rows > 1).then_some(row_stride);
    for (&n, &s) in batch.iter().zip(batch_strides).rev() {
        if n == 1 {
            continue;
        }
        match row {
            None => row = Some(s),
            Some(_) if s != next => return None,
            Some(_) => {}
        }
        next = s * n;
    }
    Some(row.unwrap_or(row_stride))
}

/// Floats that matrices are multiplied in.
trait Factor: WithDType {
    /// Writes `a @ b + bias` by kernels of our own, where machine and sizes suit them; false if nothing was written.
    fn multiply(
        _size: [usize; 3],
        _a: Strided<'_, Self>,
        _b: Strided<'_, Self>,
        _bias: Option<&[Self]>,
        _finish: Option<Finish<'_>>,
        _out: &mut [MaybeUninit<Self>],
    ) -> bool {
        false
    }
}

impl Factor for f64 {
    #[cfg(target_family = "wasm")]
    fn multiply(
        size: [usize; 3],
        a: Strided<'_, f64>,
        b: Strided<'_, f64>,
        bias: Option<&[f64]>,
        finish: Option<Finish<'_>>,
        out: &mut [MaybeUninit<f64>],
    ) -> bool {
        if finish.is_some() {
            return false;
        }
        kernels::multiply_doubles(size, a, b, bias, out);
        true
    }
}

impl Factor for f32 {
    fn multiply(
        [m, n, k]: [usize; 3],
        a: Strided<'_>,
        b: Strided<'_>,
        bias: Option<&[f32]>,
        finish: Option<Finish<'_>>,
        out: &mut [MaybeUninit<f32>],
    ) -> bool {
        if m > 1 && m < PACKED_ROWS && b.column == 1 && finish.is_none() {
            return false;
        }
        kernels::multiply([m, n, k], a, Operand::Single(b), bias, finish, out)
    }
}

/// The product; `None` if it would have to be finished and cannot be.
fn floats<T: Factor>(plan: &Plan, a: &CT, b: &CT, bias: Option<&CT>, finish: Option<Finish<'_>>) -> Result<Option<CT>> {
    let &Plan { mut m, n, k, .. } = plan;
    let total = plan.batches() * m * n;
    // Where each matrix of both operands starts.
    crate::memory::require_tensor("matmul", &plan.batch, 2 * size_of::<usize>())?;
    if total == 0 {
        return upload(Vec::<T>::new(), &plan.out_dims(), a.device()).map(Some);
    }
    let bias = bias.map(|bias| read_all::<T, _>(bias, |row| Ok(row.to_vec()))).transpose()?;
    let mut values = Vec::with_capacity(total);
    let out = &mut values.spare_capacity_mut()[..total];
    let prefill = |out: &mut [MaybeUninit<T>]| match &bias {
        Some(bias) => out.chunks_exact_mut(n).for_each(|row| {
            row.iter_mut().zip(bias).for_each(|(o, &b)| _ = o.write(b));
        }),
        None => out.fill(MaybeUninit::new(T::from_f64(0.0))),
    };
    let written = read::<T, _>(a, |a_data, a_layout| {
        read::<T, _>(b, |b_data, b_layout| {
            if k == 0 {
                prefill(out);
                return Ok(finish.is_none());
            }
            let (a_strides, b_strides) = (a_layout.stride(), b_layout.stride());
            let (a_rank, b_rank) = (a_strides.len(), b_strides.len());
            let a_batch = plan.batch_strides(a_layout.dims(), a_strides);
            let b_batch = plan.batch_strides(b_layout.dims(), b_strides);
            let mut row = a_strides[a_rank - 2];
            let shared_right = b_batch.iter().zip(&plan.batch).all(|(&s, &n)| s == 0 || n == 1);
            let stacked = stacked_row_stride(&plan.batch, &a_batch, m, row).filter(|_| shared_right);
            let (a_offsets, b_offsets) = match stacked {
                Some(stride) => {
                    row = stride;
                    m *= plan.batches();
                    (vec![0], vec![0])
                }
                None => (plan.offsets(&a_batch), plan.offsets(&b_batch)),
            };
            let left = |batch: usize| Strided {
                data: &a_data[a_layout.start_offset() + a_offsets[batch]..],
                row,
                column: a_strides[a_rank - 1],
            };
            let right = |batch: usize| Strided {
                data: &b_data[b_layout.start_offset() + b_offsets[batch]..],
                row: b_strides[b_rank - 2],
                column: b_strides[b_rank - 1],
            };
            let size = [m, n, k];
            if a_offsets.len() == 1 && T::multiply(size, left(0), right(0), bias.as_deref(), finish, out) {
                return Ok(true);
            }
            if finish.is_some() {
                return Ok(false);
            }
            #[cfg(target_family = "wasm")]
            let one = |batch: usize, out: &mut [MaybeUninit<T>], _: usize| {
                T::multiply(size, left(batch), right(batch), bias.as_deref(), None, out);
            };
            #[cfg(not(target_family = "wasm"))]
            let one = |batch: usize, out: &mut [MaybeUninit<T>], threads: usize| {
                if bias.is_some() {
                    prefill(out);
                }
                by_library(size, left(batch), right(batch), out, bias.is_some(), threads);
            };
            let (each, batches) = (m * n * k, a_offsets.len());
            if batches > 1 && each < SPLIT_ONE {
                let threads = if batches * each < SPLIT_BATCH { 1 } else { rayon::current_num_threads() };
                share_pieces(out, m * n, threads, |i, out| one(i, out, 1));
            } else {
                let threads = rayon::current_num_threads();
                out.chunks_mut(m * n).enumerate().for_each(|(i, out)| one(i, out, threads));
            }
            Ok(true)
        })
    })?;
    if !written {
        return Ok(None);
    }
    // SAFETY: the products above cover `total` elements, each written by its kernel or beforehand.
    unsafe { values.set_len(total) };
    upload(values, &plan.out_dims(), a.device()).map(Some)
}

/// Writes `out = a @ b`, or `out += a @ b` if `accumulate`, for which `out` must hold something; it is row-major.
#[cfg(not(target_family = "wasm"))]
fn by_library<T: WithDType>(
    [m, n, k]: [usize; 3],
    a: Strided<'_, T>,
    b: Strided<'_, T>,
    out: &mut [MaybeUninit<T>],
    accumulate: bool,
    threads: usize,
) {
    debug_assert_eq!(out.len(), m * n);
    // SAFETY: `a` and `b` were made from the layouts of tensors of m by k and k by n elements, whose storage holds every
    // element that their strides reach; `out` has m by n elements and is borrowed mutably, so nothing aliases it.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr().cast(),
            1,
            n as isize,
            accumulate,
            a.data.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.column as isize,
            b.row as isize,
            T::from_f64(1.0),
            T::from_f64(1.0),
            false,
            false,
            false,
            if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) },
        );
    }
}

/// Integer products on the host: no backend of candle multiplies integer matrices.
fn integers<T: WithDType>(plan: &Plan, a: &CT, b: &CT, mul: fn(T, T) -> T, add: fn(T, T) -> T) -> Result<CT> {
    let &Plan { m, n, k, .. } = plan;
    let mut out = vec![T::from_f64(0.0); plan.batches() * m * n];
    if !out.is_empty() {
        read::<T, _>(a, |a_data, a_layout| {
            read::<T, _>(b, |b_data, b_layout| {
                let (a_strides, b_strides) = (a_layout.stride(), b_layout.stride());
                let (a_rank, b_rank) = (a_strides.len(), b_strides.len());
                let a_offsets = plan.offsets(&plan.batch_strides(a_layout.dims(), a_strides));
                let b_offsets = plan.offsets(&plan.batch_strides(b_layout.dims(), b_strides));
                for (batch, out) in out.chunks_mut(m * n).enumerate() {
                    let a_start = a_layout.start_offset() + a_offsets[batch];
                    let b_start = b_layout.start_offset() + b_offsets[batch];
                    for (i, row) in out.chunks_mut(n).enumerate() {
                        for l in 0..k {
                            let left = a_data[a_start + i * a_strides[a_rank - 2] + l * a_strides[a_rank - 1]];
                            for (j, o) in row.iter_mut().enumerate() {
                                let right = b_data[b_start + l * b_strides[b_rank - 2] + j * b_strides[b_rank - 1]];
                                *o = add(*o, mul(left, right));
                            }
                        }
                    }
                }
                Ok(())
            })
        })?;
    }
    upload(out, &plan.out_dims(), a.device())
}

/// Through candle, with every operand spelled out: devices other than the CPU.
#[cfg(not(target_family = "wasm"))]
fn on_device(plan: &Plan, a: &CT, b: &CT, bias: Option<&CT>) -> Result<CT> {
    let flat = |t: &CT, rows: usize, columns: usize| -> Result<CT> {
        let full = [plan.batch.as_slice(), &[rows, columns]].concat();
        Ok(contiguous(&t.broadcast_as(full)?)?.reshape((plan.batches(), rows, columns))?)
    };
    let out = if b.rank() == 2 {
        contiguous(a)?.reshape((plan.batches() * plan.m, plan.k))?.matmul(b)?
    } else {
        flat(a, plan.m, plan.k)?.matmul(&flat(b, plan.k, plan.n)?)?
    };
    let out = out.reshape(plan.out_dims())?;
    Ok(match bias {
        Some(bias) => out.broadcast_add(bias)?,
        None => out,
    })
}
