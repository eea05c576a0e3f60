//! What a node proves itself with.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dd_gossip::{ClusterId, NodeId};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::dev_authority::dev_authority;
use crate::enrolment::{EnrolError, JoinToken, enrol};
use crate::peer_name::PeerName;
use crate::{IdentityError, tls};

/// Most certificates that are read from one PEM text: an authority and the next one, or a short
/// chain.
const MAX_CERTIFICATES: usize = 16;

/// A node's certificate and key, and the authority that it trusts. Its `Debug` shows no key. The certificate runs out:
/// see [`valid_until`](Self::valid_until).
///
/// ```
/// use dd_transport_quic::Identity;
///
/// let identity = Identity::dev(&"shop".parse().unwrap(), &"a".parse().unwrap(), "secret").unwrap();
/// assert_eq!(identity.cluster().as_str(), "shop");
/// assert!(!format!("{identity:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct Identity {
    name: PeerName,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    roots: Arc<RootCertStore>,
    dev: bool,
    beyond_loopback: bool,
    valid_until: SystemTime,
}

impl Identity {
    /// From PEM texts: the certificates of the authorities to trust (two while one is being
    /// replaced), the node's own certificate with any intermediate ones, and its key. Node and
    /// cluster are read from the certificate's DNS name `<node>.<cluster>.dd`.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if a text is not usable PEM, the key is not that of the certificate, or
    /// the certificate isn't valid now under one of the authorities.
    pub fn from_pem(authority: &str, certificate: &str, key: &str) -> Result<Self, IdentityError> {
        let chain = certificates("certificate", certificate)?;
        let key =
            PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| IdentityError::Pem {
                what: "key",
                reason: e.to_string(),
            })?;
        Self::from_der(certificates("authority", authority)?, chain, key)
    }

    /// From what PEM texts hold.
    pub(crate) fn from_der(
        authorities: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let mut roots = RootCertStore::empty();
        for root in authorities {
            roots.add(root).map_err(|e| IdentityError::Pem {
                what: "authority",
                reason: format!("it is not a certificate of an authority ({e})"),
            })?;
        }
        let Some(own) = chain.first() else {
            let reason = "there is no certificate in it".to_owned();
            return Err(IdentityError::Pem {
                what: "certificate",
                reason,
            });
        };
        let name = PeerName::of_certificate(own).map_err(|found| IdentityError::Name { found })?;
        let mut identity = Self {
            name,
            chain,
            key: Arc::new(key),
            roots: Arc::new(roots),
            dev: false,
            beyond_loopback: false,
            valid_until: UNIX_EPOCH,
        };
        tls::check_identity(&identity)?;
        identity.valid_until = tls::valid_until(&identity)?;
        Ok(identity)
    }

    /// From PEM files, as [`from_pem`](Self::from_pem).
    ///
    /// # Errors
    ///
    /// [`IdentityError::File`] if one can't be read, and those of [`from_pem`](Self::from_pem).
    pub fn from_files(
        authority: impl AsRef<Path>,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, IdentityError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| IdentityError::File {
                path: path.display().to_string(),
                source,
            })
        };
        Self::from_pem(
            &read(authority.as_ref())?,
            &read(certificate.as_ref())?,
            &read(key.as_ref())?,
        )
    }

    /// A development identity: nodes that were given the same cluster and secret trust each other,
    /// with no files. It works between processes of one machine only, unless
    /// [`allow_dev_beyond_loopback`](Self::allow_dev_beyond_loopback) is called.
    ///
    /// What it protects: processes without the secret can't join, read or write; what goes over the
    /// wire is encrypted. What it doesn't: **every** holder of the secret can be any node, since
    /// each has the authority's key; no node can be shut out without a new secret for all; and
    /// someone who can dial a node can try guesses of a weak secret at leisure on their own
    /// computer, because the certificate that the node shows is signed with a key derived from it.
    /// In production use certificates of an [`Authority`](crate::Authority).
    ///
    /// # Errors
    ///
    /// [`IdentityError::EmptySecret`], or the system gives no random bytes.
    pub fn dev(cluster: &ClusterId, node: &NodeId, secret: &str) -> Result<Self, IdentityError> {
        let authority = dev_authority(cluster, secret)?;
        let issued = authority.issue(node)?;
        let own = Self::from_pem(
            authority.certificate_pem(),
            issued.certificate_pem(),
            issued.key_pem(),
        )?;
        Ok(Self { dev: true, ..own })
    }

    /// Gets a certificate with a token that the cluster's authority made, from its
    /// [`Enrolment`](crate::Enrolment) service at `host:port`. The key is made here and does not leave the
    /// process. Without a name it takes the one that the token is for, or makes up one under its prefix.
    ///
    /// Such a certificate is valid for a day, unless the service is set otherwise: see
    /// [`valid_until`](Self::valid_until). A transport goes on with the certificate that it has, and peers that connect
    /// later refuse it once that has expired. Another is put in its place by `Cluster::renew` where there is a store,
    /// and by `Renewal::renew` where a transport is used by itself; where the service gives none for a name that is up, the node has to be restarted with a new token before that.
    ///
    /// # Errors
    ///
    /// [`EnrolError`] says what is wrong with the token, the name, or whoever answers.
    pub async fn enrol(
        address: &str,
        token: &JoinToken,
        node: Option<NodeId>,
    ) -> Result<Self, EnrolError> {
        enrol(address, token, node).await
    }

    /// Lets a development identity listen and dial beyond this machine. Do so only on a network
    /// where whoever can send a packet may be trusted; see [`dev`](Self::dev) for what is missing.
    #[must_use]
    pub fn allow_dev_beyond_loopback(self) -> Self {
        Self {
            beyond_loopback: true,
            ..self
        }
    }

    /// The node.
    pub fn node(&self) -> &NodeId {
        &self.name.node
    }

    /// The cluster.
    pub fn cluster(&self) -> &ClusterId {
        &self.name.cluster
    }

    /// Until when the certificate is valid. Connections that stand then go on; peers refuse new ones, until
    /// [`Renewal::renew`](crate::Renewal::renew) has put another certificate in its place.
    pub fn valid_until(&self) -> SystemTime {
        self.valid_until
    }

    pub(crate) fn loopback_only(&self) -> bool {
        self.dev && !self.beyond_loopback
    }

    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.roots)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("node", &self.name.node)
            .field("cluster", &self.name.cluster)
            .field("dev", &self.dev)
            .finish_non_exhaustive()
    }
}

fn certificates(
    what: &'static str,
    pem: &str,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let wrong = |reason| IdentityError::Pem { what, reason };
    let read: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .take(MAX_CERTIFICATES + 1)
        .collect::<Result<_, _>>()
        .map_err(|e| wrong(e.to_string()))?;
    match read.len() {
        0 => Err(wrong("there is no certificate in it".to_owned())),
        n if n > MAX_CERTIFICATES => Err(wrong("it has more than 16 certificates".to_owned())),
        _ => Ok(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Authority;

    #[test]
    fn what_does_not_fit_together_is_refused_with_a_reason() {
        let shop = Authority::new(&"shop".parse().unwrap()).unwrap();
        let other = Authority::new(&"shop".parse().unwrap()).unwrap();
        let a = shop.issue(&"a".parse().unwrap()).unwrap();
        let b = shop.issue(&"b".parse().unwrap()).unwrap();

        let wrong_key =
            Identity::from_pem(shop.certificate_pem(), a.certificate_pem(), b.key_pem());
        assert!(
            matches!(wrong_key, Err(IdentityError::Key(_))),
            "{wrong_key:?}"
        );
        let wrong_root =
            Identity::from_pem(other.certificate_pem(), a.certificate_pem(), a.key_pem());
        assert!(
            matches!(&wrong_root, Err(IdentityError::Untrusted(why)) if why.contains("not issued by the authority")),
            "{wrong_root:?}"
        );
        let no_pem = Identity::from_pem("", a.certificate_pem(), a.key_pem());
        assert!(
            matches!(
                no_pem,
                Err(IdentityError::Pem {
                    what: "authority",
                    ..
                })
            ),
            "{no_pem:?}"
        );
        let missing = Identity::from_files("/nonexistent/ca", "x", "y").unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/ca"), "{missing}");
    }

    #[test]
    fn files_are_read() {
        let shop = Authority::new(&"shop".parse().unwrap()).unwrap();
        let issued = shop.issue(&"a".parse().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let identity = Identity::from_files(
            write("authority.pem", shop.certificate_pem()),
            write("a.pem", issued.certificate_pem()),
            write("a.key", issued.key_pem()),
        );
        assert_eq!(identity.unwrap().node().as_str(), "a");
    }

    #[test]
    fn a_short_lived_certificate_expires_at_once() {
        let shop = Authority::new(&"shop".parse().unwrap()).unwrap();
        let issued = shop
            .issue_for(&"a".parse().unwrap(), std::time::Duration::ZERO)
            .unwrap();
        // Ends this very second, so it is expired unless the clock stands within that second.
        let identity = Identity::from_pem(
            shop.certificate_pem(),
            issued.certificate_pem(),
            issued.key_pem(),
        );
        if let Err(error) = identity {
            assert!(error.to_string().contains("expired"), "{error}");
        }
    }
}
