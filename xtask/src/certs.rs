//! `cargo xtask certs`: a cluster authority, and certificates for its nodes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use dd_transport_quic::{
    Authority, DEFAULT_TOKEN_VALIDITY, MAX_TOKEN_VALIDITY, TokenNames, TokenOptions,
};

/// Makes the authority of a cluster, a certificate for each node, and a token with which others get theirs.
/// Run again, it issues more from the authority that is there.
#[derive(Debug, Args)]
pub(crate) struct Certs {
    /// The name of the cluster
    #[arg(long)]
    cluster: String,
    /// The folder for the files
    #[arg(long, default_value = "certs")]
    out: PathBuf,
    /// The names of the nodes
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    /// Print a token for `dd-node --enrol`: for one name and once, or for all that begin so (`pod-*`), or any
    /// (`*`)
    #[arg(long, value_name = "NAMES")]
    token: Option<TokenNames>,
    /// How many minutes the token is valid, from 1 to those of a day
    #[arg(long, value_name = "MINUTES", default_value_t = DEFAULT_TOKEN_VALIDITY.as_secs() / 60,
        value_parser = clap::value_parser!(u64).range(1..=MAX_TOKEN_VALIDITY.as_secs() / 60))]
    valid_for: u64,
}

impl Certs {
    pub(crate) fn run(&self) -> Result<()> {
        fs::create_dir_all(&self.out).with_context(|| format!("making {}", self.out.display()))?;
        let authority = self.authority()?;
        write(&self.out.join("ca.pem"), authority.certificate_pem())?;
        for node in &self.nodes {
            issue(&authority, node, &self.out)?;
        }
        if let Some(names) = &self.token {
            let valid_for = Duration::from_secs(self.valid_for * 60);
            let token = authority.token(TokenOptions::new(names.clone()).valid_for(valid_for))?;
            eprintln!(
                "For {} minutes whoever has this token can become a node {names}:",
                self.valid_for
            );
            // By itself, for scripts.
            println!("{}", token.as_str());
        }
        eprintln!("Keep ca.key to yourself: who has it can make nodes.");
        if !self.nodes.is_empty() {
            eprintln!("A node needs ca.pem and its own two files.");
        }
        Ok(())
    }

    /// The authority whose key is in the folder, or a new one.
    fn authority(&self) -> Result<Authority> {
        let (certificate, key) = (self.out.join("ca.pem"), self.out.join("ca.key"));
        let cluster = self.cluster.parse().context("the name of the cluster")?;
        if key.exists() {
            let authority = Authority::from_pem(&read(&certificate)?, &read(&key)?)
                .with_context(|| format!("the authority in {}", self.out.display()))?;
            ensure!(
                *authority.cluster() == cluster,
                "{} holds the authority of the cluster {}: choose another folder with --out",
                self.out.display(),
                authority.cluster()
            );
            return Ok(authority);
        }
        let authority = Authority::new(&cluster)?;
        write_private(&key, &authority.to_pem().1)?;
        Ok(authority)
    }
}

/// Writes a node's certificate and key.
pub(crate) fn issue(authority: &Authority, node: &str, out: &Path) -> Result<()> {
    let name = node
        .parse()
        .with_context(|| format!("the name of a node, {node:?}"))?;
    let issued = authority.issue(&name)?;
    write(&out.join(format!("{node}.pem")), issued.certificate_pem())?;
    write_private(&out.join(format!("{node}.key")), issued.key_pem())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// Writes a file that only its owner can read, from its first byte on.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options
        .open(path)
        .with_context(|| format!("writing {}", path.display()))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_issues_from_the_same_authority() {
        let dir = tempfile::tempdir().unwrap();
        let run = |cluster: &str, node: &str| {
            Certs {
                cluster: cluster.to_owned(),
                out: dir.path().to_owned(),
                nodes: vec![node.to_owned()],
                token: None,
                valid_for: 10,
            }
            .run()
        };
        run("shop", "a").unwrap();
        let before = read(&dir.path().join("ca.pem")).unwrap();
        run("shop", "b").unwrap();
        assert_eq!(read(&dir.path().join("ca.pem")).unwrap(), before);
        for node in ["a", "b"] {
            let file = |end: &str| dir.path().join(format!("{node}.{end}"));
            let identity = dd_transport_quic::Identity::from_files(
                dir.path().join("ca.pem"),
                file("pem"),
                file("key"),
            );
            assert_eq!(identity.unwrap().node().as_str(), node);
        }
        let error = run("other", "c").unwrap_err().to_string();
        assert!(error.contains("choose another folder"), "{error}");
    }

    #[test]
    fn a_token_is_valid_for_a_minute_at_least_and_a_day_at_most() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            certs: Certs,
        }
        let read = |minutes: &str| {
            let line = ["certs", "--cluster", "shop", "--valid-for", minutes];
            <Line as clap::Parser>::try_parse_from(line).map(|line| line.certs.valid_for)
        };
        assert_eq!(read("1").unwrap(), 1);
        assert_eq!(read("1440").unwrap(), 1440);
        for bad in ["0", "1441"] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains("not in 1..=1440"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        write_private(&path, "secret").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
