//! Lines for the prompt without a person, and what must come of them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Two sides write, one node dies and comes back, and all agree; then several keys as one, a key of a node, and an end.
pub(crate) const SMOKE: &str = "\
# A conflict, by hand.
watch cart
a insert cart apple
wait
cut c
c>
remove cart apple
a insert cart apple
b assign title one
assign title two
wait
kill b
heal
start b
wait
b get cart
b get title
b together remove cart apple ; insert basket apple
b own session/ web
b insert session/b/web ann
b expire basket 600
wait
a get basket
a get session/b/web
a deadline basket
lag
status
";

/// What must be said somewhere, in this order.
const SAID: [&str; 16] = [
    "a: new",
    "a b c are equal",
    "Who can reach whom: a b | c",
    "c sees cart nothing",
    "b is dead",
    "a b c are equal",
    "b: or_set<str> {apple}",
    "b: mv_register {",
    "b: done; new",
    "b: session/b/web",
    "b: ends in 600 s",
    "a b c are equal",
    "a: or_set<str> {apple}",
    "a: or_set<str> {ann}",
    "a: in ",
    "Equal: a b c",
];

/// Runs this program's `play` with these lines, and returns what it printed.
pub(crate) fn say(program: &Path, lines: &str) -> Result<String> {
    let mut child = Command::new(program)
        .arg("play")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting play")?;
    let mut input = child.stdin.take().context("play has no input")?;
    input.write_all(lines.as_bytes()).context("writing lines")?;
    // The end of the input ends it.
    drop(input);
    let output = child.wait_with_output().context("waiting for play")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "play failed:\n{said}");
    Ok(said)
}

/// Whether everything was said.
pub(crate) fn check(said: &str) -> Result<()> {
    let mut rest = said;
    for what in SAID {
        let at = rest.find(what);
        let at = at.with_context(|| format!("play should have said {what:?}:\n{said}"))?;
        rest = &rest[at + what.len()..];
    }
    Ok(())
}
