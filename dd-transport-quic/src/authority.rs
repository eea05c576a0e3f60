//! The certificate authority of a cluster.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dd_gossip::{ClusterId, NodeId};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::AuthorityError;
use crate::enrolment::{JoinToken, TokenError, TokenKey, TokenOptions, fingerprint, service_name};
use crate::peer_name::PeerName;

/// An authority is valid for ten years.
const AUTHORITY_VALIDITY: Duration = Duration::from_secs(3652 * DAY);
/// A node's certificate is valid for a year, unless asked otherwise.
const NODE_VALIDITY: Duration = Duration::from_secs(365 * DAY);
/// The certificate of an enrolment service, whose key does not leave its process.
const SERVICE_VALIDITY: Duration = NODE_VALIDITY;
/// Certificates begin an hour ago, for nodes whose clocks are slow.
const BACKDATE: Duration = Duration::from_secs(60 * 60);
const DAY: u64 = 24 * 60 * 60;
/// How the subject of an authority begins; the cluster follows.
const SUBJECT: &str = "dd authority of cluster ";

/// The certificate authority of one cluster: issues to each node the certificate that binds its
/// name. Whoever has its key can be any node, so keep it off the nodes.
///
/// ```
/// use dd_transport_quic::{Authority, Identity};
///
/// let authority = Authority::new(&"shop".parse().unwrap()).unwrap();
/// let issued = authority.issue(&"a".parse().unwrap()).unwrap();
/// let (authority_pem, _keep_this_secret) = authority.to_pem();
/// let identity = Identity::from_pem(&authority_pem, issued.certificate_pem(), issued.key_pem());
/// assert_eq!(identity.unwrap().node().as_str(), "a");
/// ```
pub struct Authority {
    cluster: ClusterId,
    certificate_pem: String,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority with a new key, valid for ten years.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Generate`] if the system gives no random bytes.
    pub fn new(cluster: &ClusterId) -> Result<Self, AuthorityError> {
        let mut params = authority_params(cluster);
        let now = now();
        params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(BACKDATE);
        params.not_after = date_time_ymd(1970, 1, 1) + now + AUTHORITY_VALIDITY;
        Self::self_signed(cluster, params, KeyPair::generate()?)
    }

    /// Makes the authority that a key and a fixed validity lead to: the same bytes on every node.
    pub(crate) fn from_fixed_key(
        cluster: &ClusterId,
        key: KeyPair,
    ) -> Result<Self, AuthorityError> {
        Self::self_signed(cluster, authority_params(cluster), key)
    }

    fn self_signed(
        cluster: &ClusterId,
        params: CertificateParams,
        key: KeyPair,
    ) -> Result<Self, AuthorityError> {
        let certificate = params.self_signed(&key)?;
        let issuer = Issuer::new(params, key);
        Ok(Self {
            cluster: cluster.clone(),
            certificate_pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer,
        })
    }

    /// Reads what [`to_pem`](Self::to_pem) wrote.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] if this is not such a pair.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let wrong = AuthorityError::Certificate;
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|e| wrong(format!("it is not PEM of a certificate ({e})")))?;
        let read = webpki::EndEntityCert::try_from(&der)
            .map_err(|e| wrong(format!("it can't be read ({e})")))?;
        let cluster = authority_cluster(&read)?;
        let key = KeyPair::from_pem(key)?;
        if key.subject_public_key_info() != read.subject_public_key_info().as_ref() {
            return Err(AuthorityError::KeyMismatch);
        }
        // What is issued must name the issuer exactly as its certificate does, so compare the
        // subject that we would write with the one that is there.
        let params = authority_params(&cluster);
        let again = params.self_signed(&key)?;
        let again = webpki::EndEntityCert::try_from(again.der())
            .map_err(|e| wrong(format!("it can't be made again ({e})")))?;
        if again.subject() != read.subject() {
            return Err(wrong("its subject is of another form".to_owned()));
        }
        let certificate_pem = certificate.to_owned();
        Ok(Self {
            cluster,
            certificate_pem,
            certificate: der,
            issuer: Issuer::new(params, key),
        })
    }

    /// The certificate, which every node needs, and the key, which must stay secret.
    pub fn to_pem(&self) -> (String, String) {
        (
            self.certificate_pem.clone(),
            self.issuer.key().serialize_pem(),
        )
    }

    /// The certificate alone, which every node needs to check its peers.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The cluster that it is the authority of.
    pub fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// Issues key and certificate to a node, valid for a year. Issue again before that; both work.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Generate`] if the system gives no random bytes.
    pub fn issue(&self, node: &NodeId) -> Result<IssuedCertificate, AuthorityError> {
        self.issue_for(node, NODE_VALIDITY)
    }

    /// Issues key and certificate to a node, valid from an hour ago for this long from now, at most
    /// as long as an authority is.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Generate`] if the system gives no random bytes.
    pub fn issue_for(
        &self,
        node: &NodeId,
        validity: Duration,
    ) -> Result<IssuedCertificate, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate = self.certify(node, &key, validity)?;
        Ok(IssuedCertificate {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            valid_until: UNIX_EPOCH + end_of(validity),
        })
    }

    /// Certifies a node's public key. Nothing but the key is the node's say.
    pub(crate) fn certify(
        &self,
        node: &NodeId,
        key: &impl PublicKeyData,
        validity: Duration,
    ) -> Result<Certificate, AuthorityError> {
        let name = PeerName {
            node: node.clone(),
            cluster: self.cluster.clone(),
        }
        .dns();
        let mut params = CertificateParams::new(vec![name])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("dd node {node}"));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, validity);
        Ok(params.signed_by(key, &self.issuer)?)
    }

    /// Makes a token with which a node gets a certificate from an [`Enrolment`](crate::Enrolment) service that
    /// has this authority.
    ///
    /// # Errors
    ///
    /// [`TokenError`] if it was to be valid for too long, or for names that are none.
    pub fn token(&self, options: TokenOptions) -> Result<JoinToken, TokenError> {
        let key = self.issuer.key().subject_public_key_info();
        let authority = fingerprint(&key);
        self.token_key()?.make(&self.cluster, authority, options)
    }

    pub(crate) fn token_key(&self) -> Result<TokenKey, TokenError> {
        let private = self.issuer.key().serialize_der();
        TokenKey::new(&private, &self.cluster)
    }

    /// Certificate, with the authority's after it, and key of an enrolment service.
    pub(crate) fn service_certificate(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), AuthorityError> {
        let mut params = CertificateParams::new(vec![service_name(&self.cluster)])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "dd enrolment");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, SERVICE_VALIDITY);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain = vec![certificate.der().clone(), self.certificate_der().clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok((chain, key.into()))
    }

    /// The certificate.
    pub(crate) fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

/// The certificate of a node and its key, as PEM. Its `Debug` doesn't show the key.
///
/// ```
/// # let authority = dd_transport_quic::Authority::new(&"shop".parse().unwrap()).unwrap();
/// let issued = authority.issue(&"a".parse().unwrap()).unwrap();
/// assert!(issued.certificate_pem().starts_with("-----BEGIN CERTIFICATE-----"));
/// ```
#[derive(Clone)]
pub struct IssuedCertificate {
    certificate_pem: String,
    key_pem: String,
    valid_until: SystemTime,
}

impl IssuedCertificate {
    /// The certificate.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Until when it is valid, to the second.
    pub fn valid_until(&self) -> SystemTime {
        self.valid_until
    }

    /// The key; write it to a file that only the node's user can read.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }
}

impl fmt::Debug for IssuedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedCertificate")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

/// Subject, names and uses of a cluster's authority. Its name as DNS name, `<cluster>.dd`, says to
/// [`Authority::from_pem`] which cluster it is for.
fn authority_params(cluster: &ClusterId) -> CertificateParams {
    let mut params = CertificateParams::default();
    if let Ok(name) = format!("{cluster}.dd").try_into() {
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
    }
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{SUBJECT}{cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn authority_cluster(read: &webpki::EndEntityCert<'_>) -> Result<ClusterId, AuthorityError> {
    let mut names = read
        .valid_dns_names()
        .filter_map(|name| name.strip_suffix(".dd"));
    match (names.next(), names.next()) {
        (Some(cluster), None) => cluster
            .parse()
            .map_err(|e| AuthorityError::Certificate(format!("{e}"))),
        _ => Err(AuthorityError::Certificate(
            "it has no DNS name <cluster>.dd".to_owned(),
        )),
    }
}

/// The end of what is valid for this long from now, since 1970.
fn end_of(validity: Duration) -> Duration {
    Duration::from_secs((now() + validity.min(AUTHORITY_VALIDITY)).as_secs())
}

fn set_validity(params: &mut CertificateParams, validity: Duration) {
    params.not_before = date_time_ymd(1970, 1, 1) + now().saturating_sub(BACKDATE);
    params.not_after = date_time_ymd(1970, 1, 1) + end_of(validity);
}

/// Time since 1970; a clock before that counts as 1970.
fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    #[test]
    fn an_authority_survives_pem_and_issues_what_its_old_certificate_accepts() {
        let authority = Authority::new(&"shop".parse().unwrap()).unwrap();
        let (certificate, key) = authority.to_pem();
        let again = Authority::from_pem(&certificate, &key).unwrap();
        assert_eq!(again.cluster(), authority.cluster());
        let issued = again.issue(&"a".parse().unwrap()).unwrap();
        Identity::from_pem(&certificate, issued.certificate_pem(), issued.key_pem()).unwrap();
    }

    #[test]
    fn key_and_certificate_of_different_authorities_are_refused() {
        let one = Authority::new(&"shop".parse().unwrap()).unwrap().to_pem();
        let two = Authority::new(&"shop".parse().unwrap()).unwrap().to_pem();
        let error = Authority::from_pem(&one.0, &two.1).unwrap_err();
        assert!(matches!(error, AuthorityError::KeyMismatch), "{error}");
        assert!(Authority::from_pem("nonsense", &two.1).is_err());
    }

    #[test]
    fn debug_shows_no_key() {
        let authority = Authority::new(&"shop".parse().unwrap()).unwrap();
        let issued = authority.issue(&"a".parse().unwrap()).unwrap();
        let shown = format!("{authority:?} {issued:?}");
        assert!(
            !shown.contains("PRIVATE") && !shown.contains("key"),
            "{shown}"
        );
    }
}
