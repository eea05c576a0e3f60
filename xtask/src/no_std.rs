//! `cargo xtask no-std`: `crdt-core` where there is no operating system.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::sabotage::root;

const TARGET: &str = "thumbv7em-none-eabi";

/// Builds `crdt-core` for a bare-metal target, if the toolchain has it or can be given it; and in any
/// case a library without `std` that uses it, which does not build if anything under it needs `std`.
#[derive(Debug, Args)]
pub(crate) struct NoStd {}

const MANIFEST: &str = r#"[package]
name = "no-std-check"
version = "0.0.0"
edition = "2024"

[lib]
crate-type = ["staticlib"]

[dependencies]
crdt-core = { path = "CRDT_CORE" }
embedded-alloc = "0.6"

[profile.dev]
panic = "abort"

[workspace]
"#;

// With a panic handler of its own it clashes with that of `std`, wherever that comes in.
const SOURCE: &str = r#"#![no_std]
extern crate alloc;

use crdt_core::{Causal, OrSet, ReplicaId};

#[global_allocator]
static HEAP: embedded_alloc::LlffHeap = embedded_alloc::LlffHeap::empty();

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

pub fn merged(bytes: &[u8]) -> usize {
    let id = ReplicaId::new(1, 1);
    let Ok(mut set) = Causal::<OrSet<alloc::string::String>>::load(bytes, id) else {
        return 0;
    };
    let _ = set.update(|set| set.insert("x"));
    set.view().len()
}
"#;

impl NoStd {
    pub(crate) fn run(&self) -> Result<()> {
        let root = root();
        if has_target() {
            cargo(
                &root,
                &["build", "--package", "crdt-core", "--target", TARGET],
            )?;
            println!("crdt-core builds for {TARGET}.");
        } else {
            println!(
                "The target {TARGET} is not to be had here; the check below goes on without it."
            );
        }
        let dir = root.join("target/no-std");
        std::fs::create_dir_all(dir.join("src")).context("making a folder for the check")?;
        let core = root.join("crdt-core");
        let manifest = MANIFEST.replace("CRDT_CORE", &core.to_string_lossy().replace('\\', "/"));
        std::fs::write(dir.join("Cargo.toml"), manifest).context("writing the check")?;
        std::fs::write(dir.join("src/lib.rs"), SOURCE).context("writing the check")?;
        cargo(&dir, &["build", "--quiet"])?;
        println!("A library without std that uses crdt-core builds.");
        Ok(())
    }
}

/// Whether the target is installed, or can be.
fn has_target() -> bool {
    let rustup = Command::new("rustup")
        .args(["target", "add", TARGET])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    rustup.is_ok_and(|status| status.success())
}

fn cargo(dir: &Path, args: &[&str]) -> Result<()> {
    let status = crate::cargo::cargo()
        .current_dir(dir)
        .args(args)
        .status()
        .context("running cargo")?;
    ensure!(
        status.success(),
        "cargo {} failed: {status}",
        args.join(" ")
    );
    Ok(())
}
