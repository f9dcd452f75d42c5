//! safetensors: noise, damaged files, and headers that are well-formed and lie.

use crate::allocations::peak;
use crate::cases;
use crate::folder::Folder;
use crate::json::{damage, damaged};
use hooklens_core::load::{read_tensors, write_tensors};
use hooklens_core::{DType, Tensor};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::path::Path;

/// Reads a file of these bytes: fails with one of the codes for that, or gives tensors no larger than the file.
fn check(path: &Path, bytes: &[u8]) -> Result<(), TestCaseError> {
    std::fs::write(path, bytes).unwrap();
    let (result, peak) = peak(|| read_tensors(path));
    // Small integers are widened to 64 bits, and what the parser makes of a header is larger than its text.
    prop_assert!(peak <= (64 << 10) + 40 * bytes.len(), "{peak} bytes for a file of {}", bytes.len());
    match result {
        Ok((tensors, _)) => {
            let held: usize = tensors.iter().map(|(_, tensor)| tensor.elem_count()).sum();
            prop_assert!(held <= bytes.len(), "{held} elements in {} bytes", bytes.len());
        }
        Err(error) => prop_assert!(["invalid_file", "wrong_dtype"].contains(&error.code()), "{error}"),
    }
    Ok(())
}

/// A file with that header and as many zeros behind it.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn noise_is_refused() {
    let folder = Folder::new("hostile-noise");
    let path = folder.path("x.safetensors");
    let small_length = (0u64..64, prop::collection::vec(any::<u8>(), 0..96))
        .prop_map(|(length, rest)| [length.to_le_bytes().as_slice(), &rest].concat());
    let noise = prop_oneof![prop::collection::vec(any::<u8>(), 0..128), small_length];
    TestRunner::new(cases(15_000)).run(&noise, |bytes| check(&path, &bytes)).unwrap();
}

#[test]
fn damaged_files_are_refused_or_read() {
    let folder = Folder::new("hostile-damaged");
    let path = folder.path("x.safetensors");
    let x = Tensor::from_slice(&[1.5f32, -2.0, 0.0, 7.0, 3.25, 9.0], &[2, 3]).unwrap();
    let tensors: Vec<_> = DType::ALL.map(|dtype| (dtype.name().to_owned(), x.to_dtype(dtype).unwrap())).into();
    write_tensors(&path, &tensors, &[("format".into(), "pt".into())]).unwrap();
    let good = std::fs::read(&path).unwrap();
    TestRunner::new(cases(25_000)).run(&damage(), |(writes, end)| check(&path, &damaged(&good, &writes, end))).unwrap();
}

/// A tensor as a header describes it: name, dtype, shape, two offsets, and whether they are replaced by true ones.
type Described<'a> = (String, &'a str, Vec<u64>, u64, u64, bool);

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0u64..40,
        1 => Just(u64::MAX),
        1 => Just(1 << 62),
        1 => Just((1 << 32) - 1),
        1 => Just(1 << 33),
        1 => any::<u64>(),
    ]
}

#[test]
fn headers_that_lie_are_refused() {
    let folder = Folder::new("hostile-lies");
    let path = folder.path("x.safetensors");
    let dtype =
        prop::sample::select(vec!["F32", "F64", "F16", "BF16", "U8", "I8", "I16", "BOOL", "I64", "F8_E4M3", "F4", "X"]);
    let name = prop_oneof![4 => "[a-c]{1,2}", 1 => Just("__metadata__".to_owned()), 1 => "\\PC{0,8}"];
    let tensor = (name, dtype, prop::collection::vec(number(), 0..5), number(), number(), any::<bool>());
    let headers = (prop::collection::vec(tensor, 0..5), 0usize..80);
    let render = |entries: &[Described<'_>]| {
        let mut end = 0u64;
        let mut text = Vec::new();
        for (name, dtype, shape, a, b, honest) in entries {
            let size = match *dtype {
                "F64" | "I64" => 8,
                "F32" => 4,
                "F16" | "BF16" | "I16" => 2,
                _ => 1,
            };
            let bytes = shape.iter().fold(size, |n: u64, d| n.wrapping_mul(*d));
            let (start, stop) = if *honest { (end, end.wrapping_add(bytes)) } else { (*a, *b) };
            end = stop;
            let name = serde_json::to_string(name).unwrap();
            text.push(format!(r#"{name}:{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{stop}]}}"#));
        }
        (format!("{{{}}}", text.join(",")), end)
    };
    TestRunner::new(cases(30_000))
        .run(&headers, |(entries, data)| {
            let (header, end) = render(&entries);
            // Half of the files are as long as their headers say, if that is possible.
            let data = if data % 2 == 0 && end < 4096 { end as usize } else { data };
            check(&path, &file(&header, data))
        })
        .unwrap();
}
