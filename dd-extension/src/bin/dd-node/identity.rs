//! Who this node is: certificates, a token, the authority itself, or a secret for development.

use std::path::{Path, PathBuf};

use dd_extension::{Authority, Identity, JoinToken, TokenNames};

use crate::Failure;

#[derive(clap::Args)]
pub(crate) struct IdentityArgs {
    /// Certificate of the cluster's authority, PEM
    #[arg(long, requires_all = ["cert", "key"], conflicts_with_all = ["dev", "enrol"])]
    ca: Option<PathBuf>,
    /// This node's certificate, PEM
    #[arg(long)]
    cert: Option<PathBuf>,
    /// This node's private key, PEM
    #[arg(long)]
    key: Option<PathBuf>,
    /// Instead of certificates: where the cluster serves enrolment, to get one with a token
    #[arg(
        long,
        value_name = "HOST:PORT",
        requires = "tokens",
        conflicts_with = "dev"
    )]
    enrol: Option<String>,
    /// With --enrol: the token
    #[arg(long, group = "tokens", requires = "enrol")]
    token: Option<String>,
    /// With --enrol: a file with the token, so that it does not stand in a list of processes
    #[arg(long, value_name = "FILE", group = "tokens", requires = "enrol")]
    token_file: Option<PathBuf>,
    /// Certificate and key of the cluster's authority, PEM: to serve enrolment, and, with --node, for this
    /// node's own certificate
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"], conflicts_with_all = ["dev", "enrol"])]
    authority: Option<Vec<PathBuf>>,
    /// Without certificates, for nodes of one machine: a secret that they share
    #[arg(long, value_name = "SECRET", requires = "node")]
    dev: Option<String>,
    /// With --dev, --enrol or --authority: the name of this node
    #[arg(long)]
    node: Option<String>,
    /// With --dev: the name of the cluster
    #[arg(long, default_value = "dev")]
    cluster: String,
}

impl IdentityArgs {
    /// Whether a token is used up to get a certificate.
    pub(crate) fn enrols(&self) -> bool {
        self.enrol.is_some()
    }

    pub(crate) async fn identity(&self) -> Result<Identity, Failure> {
        if let (Some(ca), Some(cert), Some(key)) = (&self.ca, &self.cert, &self.key) {
            return Ok(Identity::from_files(ca, cert, key)?);
        }
        if let Some(address) = &self.enrol {
            let token = self.token()?;
            let node = self.node.as_ref().map(|node| node.parse()).transpose()?;
            return Ok(Identity::enrol(address, &token, node).await?);
        }
        let Some(node) = &self.node else {
            return Err(NOBODY.into());
        };
        let node = node.parse()?;
        if let Some(authority) = self.authority()? {
            let own = authority.issue(&node)?;
            let ca = authority.certificate_pem();
            return Ok(Identity::from_pem(
                ca,
                own.certificate_pem(),
                own.key_pem(),
            )?);
        }
        match &self.dev {
            Some(secret) => Ok(Identity::dev(&self.cluster.parse()?, &node, secret)?),
            None => Err(NOBODY.into()),
        }
    }

    /// The identity that there is by now, for a node that runs.
    pub(crate) async fn renewed(&self) -> Result<Identity, Failure> {
        if self.enrols() && self.node.is_none() {
            let token = self.token()?;
            if !matches!(token.names(), TokenNames::Exact(_)) {
                return Err(format!(
                    "a token for {} gives a new name each time, and a node keeps its name: restart it with a \
                     new token",
                    token.names()
                )
                .into());
            }
        }
        self.identity().await
    }

    /// The authority, if it was given.
    pub(crate) fn authority(&self) -> Result<Option<Authority>, Failure> {
        let Some([certificate, key]) = self.authority.as_deref() else {
            return Ok(None);
        };
        Ok(Some(Authority::from_pem(&read(certificate)?, &read(key)?)?))
    }

    fn token(&self) -> Result<JoinToken, Failure> {
        match (&self.token, &self.token_file) {
            (Some(token), _) => Ok(token.parse()?),
            (None, Some(file)) => Ok(read(file)?.parse()?),
            (None, None) => Err("--enrol goes with --token or --token-file".into()),
        }
    }
}

const NOBODY: &str = "who is this node? give --ca, --cert and --key (made by `cargo xtask certs`), or --enrol with \
                      --token to get a certificate, or --authority with --node where the authority is, or \
                      --dev SECRET --node NAME for nodes of one machine";

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}
