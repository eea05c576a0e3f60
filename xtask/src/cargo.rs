//! Cargo, called from a program that cargo runs.

use std::process::Command;

/// What is built of the workspace, by tests too: with the same everywhere nothing is built twice.
pub(crate) const FEATURES: [&str; 2] = ["--features", "dd-extension/node"];

/// As this program was built: for release, or as tests are and with them, since the packages that they alone need may
/// ask for more of others.
pub(crate) const AS_THIS: &[&str] = if cfg!(debug_assertions) {
    &["--tests"]
} else {
    &["--release"]
};

/// Cargo without what it set for this program. The build script of `ring` looks at some of that, so that
/// everything on top of it would be built anew whenever cargo is called by hand and from here in turns.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
