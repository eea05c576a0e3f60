//! The file of operations.

use anyhow::{Context, Result, bail};

use crate::cluster::node_named;

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A line for a node.
    Line(usize, String),
    Cut(usize),
    Heal(usize),
    Kill(usize),
    Restart(usize),
}

/// The steps of a file, checked to make sense one after the other.
pub(crate) fn parse(text: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let (mut cut, mut dead) = (None, None);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let step = step(line).with_context(|| format!("line {}: {line}", number + 1))?;
        match step {
            Step::Cut(node) if cut.is_none() && dead.is_none() => cut = Some(node),
            Step::Heal(node) if cut == Some(node) => cut = None,
            Step::Kill(node) if cut.is_none() && dead.is_none() => dead = Some(node),
            Step::Restart(node) if dead == Some(node) => dead = None,
            Step::Line(node, _) if dead != Some(node) => {}
            Step::Line(..) => bail!("line {}: the node is dead: restart it first", number + 1),
            _ => bail!(
                "line {}: {line}: one node is cut off or dead at a time, and heals or restarts after it was",
                number + 1
            ),
        }
        steps.push(step);
    }
    if cut.is_some() || dead.is_some() {
        bail!("at the end of the file a node is still cut off or dead: heal or restart it");
    }
    Ok(steps)
}

fn step(line: &str) -> Result<Step> {
    let node = node_named;
    if let Some(about) = line.strip_prefix("---") {
        let (verb, name) = about.trim().split_once(' ').unwrap_or((about.trim(), ""));
        return Ok(match verb {
            "cut" => Step::Cut(node(name)?),
            "heal" => Step::Heal(node(name)?),
            "kill" => Step::Kill(node(name)?),
            "restart" => Step::Restart(node(name)?),
            _ => bail!("--- goes with cut, heal, kill or restart and a node: --- cut c"),
        });
    }
    let (name, line) = line
        .split_once('>')
        .context("a line looks like: a> insert cart-42 apple")?;
    Ok(Step::Line(node(name)?, line.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_is_understood() {
        let steps = parse(super::super::DEFAULT).unwrap();
        assert!(steps.contains(&Step::Cut(2)) && steps.contains(&Step::Kill(1)));
    }

    #[test]
    fn mistakes_are_named() {
        let said = |text| format!("{:#}", parse(text).unwrap_err());
        assert!(said("a insert x y").contains("a> insert cart-42 apple"));
        assert!(said("d> add x 1").contains("no node"));
        assert!(said("--- cut c").contains("still cut off"));
        assert!(said("--- kill b\nb> add x 1\n--- restart b").contains("the node is dead"));
        assert!(said("--- heal a").contains("one node"));
    }
}
