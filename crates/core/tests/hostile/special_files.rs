//! Pipes and devices where files should be.
#![cfg(unix)]

use crate::allocations::peak;
use crate::folder::Folder;
use hooklens_core::models::{LoadOptions, Model};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

const FILES: [&str; 4] = ["tl_config.json", "config.json", "model.safetensors", "model.safetensors.index.json"];

/// What loading fails with and how much it held, or nothing if it does not come back.
fn outcome(folder: PathBuf) -> Option<(String, String, usize)> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let (model, held) = peak(|| Model::load(&folder, &LoadOptions::default()));
        let error = model.err().unwrap();
        send.send((error.code().to_owned(), error.to_string(), held)).ok();
    });
    receive.recv_timeout(Duration::from_secs(20)).ok()
}

fn refused(what: &str, put: impl Fn(&Path)) {
    for name in FILES {
        let folder = Folder::new(&format!("special-{what}-{name}"));
        // What is read before the weights.
        let config = r#"{"n_layers":1,"d_model":4,"n_ctx":4,"d_head":4,"n_heads":1,"d_vocab":4,"act_fn":"relu"}"#;
        if name.starts_with("model") {
            std::fs::write(folder.path("tl_config.json"), config).unwrap();
        }
        put(&folder.path(name));
        let (code, message, held) =
            outcome(folder.path(".")).unwrap_or_else(|| panic!("{name}: waits for a {what} for good"));
        assert_eq!(code, "invalid_file", "{message}");
        assert!(message.contains(name) && message.contains("is not a regular file"), "{message}");
        assert!(held < 1 << 20, "{name}: {held} bytes of a {what}");
    }
}

#[test]
fn a_pipe_is_refused_instead_of_waited_for() {
    refused("pipe", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()));
}

#[test]
fn a_device_without_an_end_is_refused_instead_of_read() {
    refused("device", |path| symlink("/dev/zero", path).unwrap());
}

#[test]
fn a_folder_is_no_file() {
    refused("folder", |path| std::fs::create_dir(path).unwrap());
}
