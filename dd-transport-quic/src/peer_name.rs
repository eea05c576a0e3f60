//! The name in a certificate: which node of which cluster.

use dd_gossip::{ClusterId, NodeId};
use rustls::pki_types::CertificateDer;

/// Ending of every name; keeps them apart from names of the real DNS.
const SUFFIX: &str = ".dd";

/// A node of a cluster, as certificates name it: `<node>.<cluster>.dd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerName {
    pub(crate) node: NodeId,
    pub(crate) cluster: ClusterId,
}

impl PeerName {
    /// The DNS name, which is also what a dialler asks for (SNI).
    pub(crate) fn dns(&self) -> String {
        format!("{}.{}{SUFFIX}", self.node, self.cluster)
    }

    /// What a dialler asks for that does not know which node it will meet.
    pub(crate) fn any(cluster: &ClusterId) -> String {
        format!("{cluster}{SUFFIX}")
    }

    /// The one name of this form in a certificate. Other DNS names may stand beside it, a second
    /// of this form or a malformed one may not: it would be unclear who that is.
    ///
    /// The certificate was verified already, or is our own.
    pub(crate) fn of_certificate(der: &CertificateDer<'_>) -> Result<Self, String> {
        let certificate =
            webpki::EndEntityCert::try_from(der).map_err(|e| format!("it can't be read ({e})"))?;
        let mut found = None;
        for name in certificate
            .valid_dns_names()
            .filter(|name| name.ends_with(SUFFIX))
        {
            let parsed = Self::parse(name).ok_or_else(|| format!("it has {name:?}"))?;
            if found.replace(parsed).is_some() {
                return Err("it has several".to_owned());
            }
        }
        found.ok_or_else(|| "it has none".to_owned())
    }

    fn parse(name: &str) -> Option<Self> {
        let (node, cluster) = name.strip_suffix(SUFFIX)?.split_once('.')?;
        Some(Self {
            node: node.parse().ok()?,
            cluster: cluster.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_strictly() {
        let name = PeerName::parse("a-1.shop.dd").unwrap();
        assert_eq!((name.node.as_str(), name.cluster.as_str()), ("a-1", "shop"));
        assert_eq!(name.dns(), "a-1.shop.dd");
        for bad in [
            "a.dd",
            "a.b.c.dd",
            "*.shop.dd",
            "A.shop.dd",
            ".shop.dd",
            "a..dd",
            "a.shop",
        ] {
            assert_eq!(PeerName::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_certificate_with_two_names_is_nobody() {
        let certificate = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(names).unwrap();
            params.self_signed(&key).unwrap().der().clone()
        };
        let one = certificate(&["a.shop.dd", "example.org"]);
        assert_eq!(PeerName::of_certificate(&one).unwrap().dns(), "a.shop.dd");
        assert!(PeerName::of_certificate(&certificate(&["a.shop.dd", "b.shop.dd"])).is_err());
        assert!(PeerName::of_certificate(&certificate(&["example.org"])).is_err());
        assert!(PeerName::of_certificate(&certificate(&["*.shop.dd"])).is_err());
    }
}
