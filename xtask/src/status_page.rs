//! `cargo xtask status-page`: the status pages of three nodes in a real browser, while one of the nodes
//! is cut off and after it was healed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::cluster::{Cluster, NODES, PATIENCE, Settings, is_connected};

/// Names that the browser goes by.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
/// What a browser may take for a page.
const LIMIT: Duration = Duration::from_secs(60);
/// The largest picture that belongs into a repository.
const MAX_PICTURE: u64 = 200 * 1024;
/// A key and an element that would do something if they were taken for HTML.
const MARKUP: &str = "<img/src=x/onerror=document.title='taken'>";

/// Starts three nodes, cuts one off, and looks at their status pages with Chromium: they must say
/// BEHIND while the nodes are apart and EQUAL afterwards
#[derive(Debug, Args)]
pub(crate) struct StatusPage {
    /// The folder for the pictures
    #[arg(long, default_value = "target/status-page")]
    out: PathBuf,
    /// The browser, if it has another name
    #[arg(long, value_name = "PROGRAM")]
    browser: Option<PathBuf>,
}

impl StatusPage {
    pub(crate) fn run(&self) -> Result<()> {
        let browser = Browser::find(self.browser.as_deref())?;
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("making {}", self.out.display()))?;
        let mut cluster = Cluster::start(Settings {
            status_pages: true,
            ..Settings::default()
        })?;
        write(&mut cluster)?;
        cluster.await_equal(&[0, 1, 2])?;

        cluster.set_cut_off(2, true);
        write_apart(&mut cluster)?;
        await_peers(&mut cluster, |peers| peers.contains(":down:away"))?;
        self.look(&browser, &mut cluster, "apart", "BEHIND")?;

        cluster.set_cut_off(2, false);
        await_peers(&mut cluster, |peers| {
            is_connected(peers, NODES.len() - 1) && !peers.contains("behind")
        })?;
        cluster.await_equal(&[0, 1, 2])?;
        self.look(&browser, &mut cluster, "healed", "EQUAL")?;

        cluster.stop()?;
        println!(
            "All pages said what they should; pictures are in {}.",
            self.out.display()
        );
        Ok(())
    }

    /// Looks at the page of each node, and takes its picture.
    fn look(&self, browser: &Browser, cluster: &mut Cluster, when: &str, word: &str) -> Result<()> {
        for (at, name) in NODES.iter().enumerate() {
            let page = cluster.node(at)?.page.clone();
            let page = page.context("the node serves no page")? + "#key=cart-42";
            let dom = browser.dom(&page)?;
            check(&dom, word).with_context(|| format!("the page of {name}, {when}"))?;
            let picture = self.out.join(format!("{when}-{name}.png"));
            browser.picture(&page, &picture)?;
            let bytes = std::fs::metadata(&picture)
                .with_context(|| format!("no picture {}", picture.display()))?
                .len();
            ensure!(
                bytes <= MAX_PICTURE,
                "{} has {bytes} bytes, more than {MAX_PICTURE}",
                picture.display()
            );
            println!("  \u{2713} {name}, {when}: {word}");
        }
        Ok(())
    }
}

fn write(cluster: &mut Cluster) -> Result<()> {
    for (at, line) in [
        (0, "insert cart-42 apple"),
        (1, "insert cart-42 pear"),
        (0, "add hits 3"),
        (2, "set motd hello world"),
        (1, "put flags dark-mode on"),
        (2, "count views page-1 5"),
        (0, "assign title Draft"),
    ] {
        cluster.node(at)?.ask(line)?;
    }
    cluster.node(1)?.ask(&format!("insert {MARKUP} {MARKUP}"))?;
    Ok(())
}

/// Both sides write, and one removes.
fn write_apart(cluster: &mut Cluster) -> Result<()> {
    for (at, line) in [
        (0, "insert cart-42 plum"),
        (1, "remove cart-42 pear"),
        (2, "insert cart-42 pear"),
        (2, "add hits 10"),
        (0, "assign title Second draft"),
        (2, "assign title Other draft"),
    ] {
        cluster.node(at)?.ask(line)?;
    }
    Ok(())
}

/// Waits until what every node knows of its peers is so.
fn await_peers(cluster: &mut Cluster, is_so: impl Fn(&str) -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for (at, name) in NODES.iter().enumerate() {
        loop {
            let status = cluster.status(at)?;
            let peers = status.get("peers").context("a status without peers")?;
            if is_so(peers) {
                break;
            }
            ensure!(Instant::now() < deadline, "{name} still knows {peers}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// What must stand in a page, and what must not.
fn check(dom: &str, word: &str) -> Result<()> {
    let said = between(dom, "<h1 id=\"word\">", "</h1>").context("there is no big word")?;
    ensure!(said == word, "it says {said}, and should say {word}");
    let keys = between(dom, "<div id=\"keys\">", "<script>").context("there are no keys")?;
    ensure!(keys.contains("cart-42"), "the key cart-42 is not shown");
    ensure!(
        dom.contains("certificate until"),
        "it does not say until when the certificate is valid"
    );
    ensure!(
        keys.contains("&lt;img/src=x/onerror"),
        "the key with markup is not shown as text"
    );
    ensure!(
        !dom.contains("<img"),
        "a key or a value was taken for markup"
    );
    ensure!(!dom.contains("<title>taken"), "a key or a value ran");
    Ok(())
}

fn between<'d>(text: &'d str, begin: &str, end: &str) -> Option<&'d str> {
    let from = text.find(begin)? + begin.len();
    let len = text[from..].find(end)?;
    Some(&text[from..from + len])
}

/// Whether a browser is here under one of its names.
pub(crate) fn has_browser() -> bool {
    Browser::find(None).is_ok()
}

struct Browser(PathBuf);

impl Browser {
    fn find(given: Option<&Path>) -> Result<Self> {
        let runs = |program: &Path| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        if let Some(program) = given {
            ensure!(runs(program), "{} does not run", program.display());
            return Ok(Self(program.to_owned()));
        }
        let found = BROWSERS.iter().map(PathBuf::from).find(|name| runs(name));
        found.map(Self).context(
            "there is no Chromium: install the package `chromium` (Debian: apt-get install chromium; \
             Fedora: dnf install chromium), or give another one with --browser",
        )
    }

    /// The page as it is after its scripts have run.
    fn dom(&self, page: &str) -> Result<String> {
        self.run(&["--dump-dom", page])
    }

    fn picture(&self, page: &str, to: &Path) -> Result<()> {
        // The browser is somewhere else.
        let to = std::path::absolute(to).context("finding the folder for pictures")?;
        let option = format!("--screenshot={}", to.display());
        self.run(&[
            "--hide-scrollbars",
            "--window-size=1100,1180",
            &option,
            page,
        ])?;
        Ok(())
    }

    fn run(&self, args: &[&str]) -> Result<String> {
        let profile = tempfile::tempdir().context("making a folder for the browser")?;
        let output = tempfile::NamedTempFile::new().context("making a file for the page")?;
        let child = Command::new(&self.0)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu"])
            .args(["--no-first-run", "--virtual-time-budget=5000"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.reopen().context("opening the file for the page")?)
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", self.0.display()))?;
        Running(child).wait()?;
        std::fs::read_to_string(output.path()).context("reading what the browser printed")
    }
}

/// A browser that does not outlive this.
struct Running(Child);

impl Running {
    fn wait(mut self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.0.try_wait().context("waiting for the browser")? {
                ensure!(status.success(), "the browser failed: {status}");
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the browser has not ended after {LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended, which is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_checked_for_its_word_and_for_markup() {
        let page = |word: &str, keys: &str| {
            format!(
                "<h1 id=\"word\">{word}</h1><dt>certificate until</dt><div id=\"keys\">cart-42 {keys}</div><script>"
            )
        };
        let text = "&lt;img/src=x/onerror";
        assert!(check(&page("EQUAL", text), "EQUAL").is_ok());
        assert!(check(&page("BEHIND", text), "EQUAL").is_err());
        assert!(check(&page("EQUAL", "<img/src=x/onerror"), "EQUAL").is_err());
        assert!(check(&page("EQUAL", &format!("{text} <img>")), "EQUAL").is_err());
        assert!(check("", "EQUAL").is_err());
        let without = page("EQUAL", text).replace("certificate until", "");
        assert!(check(&without, "EQUAL").is_err());
    }
}
