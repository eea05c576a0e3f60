//! TLS settings: version 1.3 only, certificates on both sides, no session resumption.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dd_gossip::ClusterId;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{CertificateError, DigitallySignedStruct};

use crate::peer_name::PeerName;
use crate::{Identity, IdentityError};

/// The protocol and its version, which both sides must agree on (ALPN).
pub(crate) const ALPN: &[u8] = b"dd/1";

/// The year 10000, after which no certificate can be valid.
const AFTER_ALL: Duration = Duration::from_secs(253_402_300_800);

/// The configuration for dialling.
pub(crate) fn client(identity: &Identity) -> Result<Arc<QuicClientConfig>, IdentityError> {
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(key_error)?
        .with_root_certificates(identity.roots())
        .with_client_auth_cert(identity.chain().to_vec(), identity.key())
        .map_err(key_error)?;
    finish_client(config)
}

fn finish_client(mut config: rustls::ClientConfig) -> Result<Arc<QuicClientConfig>, IdentityError> {
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would not show its certificate again.
    config.resumption = Resumption::disabled();
    let config = QuicClientConfig::try_from(config)
        .map_err(|_| IdentityError::Key("no cipher suite for QUIC".to_owned()))?;
    Ok(Arc::new(config))
}

/// The configuration for dialling whichever node of the cluster is at an address.
pub(crate) fn seed_client(identity: &Identity) -> Result<Arc<QuicClientConfig>, IdentityError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(identity.roots(), provider())
        .build()
        .map_err(|e| IdentityError::Untrusted(format!("no trusted authority ({e})")))?;
    let verifier = AnyNode {
        cluster: identity.cluster().clone(),
        verifier,
    };
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(key_error)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(identity.chain().to_vec(), identity.key())
        .map_err(key_error)?;
    finish_client(config)
}

/// Accepts the certificate of any node of the cluster: checked as ever, for the name that it bears.
#[derive(Debug)]
struct AnyNode {
    cluster: ClusterId,
    verifier: Arc<WebPkiServerVerifier>,
}

impl AnyNode {
    /// Says which cluster was expected, and whom the certificate names.
    fn wrong_name(&self, presented: Option<String>) -> CertificateError {
        match ServerName::try_from(PeerName::any(&self.cluster)) {
            Ok(expected) => CertificateError::NotValidForNameContext {
                expected,
                presented: presented.into_iter().collect(),
            },
            Err(_) => CertificateError::NotValidForName,
        }
    }
}

impl ServerCertVerifier for AnyNode {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _asked_for: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = PeerName::of_certificate(end_entity).ok();
        let presented = name.as_ref().map(PeerName::dns);
        let name = name
            .filter(|name| name.cluster == self.cluster)
            .and_then(|name| ServerName::try_from(name.dns()).ok())
            .ok_or_else(|| self.wrong_name(presented))?;
        self.verifier
            .verify_server_cert(end_entity, intermediates, &name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// The configuration for accepting.
pub(crate) fn server(identity: &Identity) -> Result<Arc<QuicServerConfig>, IdentityError> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(key_error)?
        .with_client_cert_verifier(verifier(identity)?)
        .with_single_cert(identity.chain().to_vec(), identity.key())
        .map_err(key_error)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    let config = QuicServerConfig::try_from(config)
        .map_err(|_| IdentityError::Key("no cipher suite for QUIC".to_owned()))?;
    Ok(Arc::new(config))
}

/// Checks what peers will check: the key is that of the certificate, and the certificate is valid
/// now under a trusted authority. Better said at the start than by each peer.
pub(crate) fn check_identity(identity: &Identity) -> Result<(), IdentityError> {
    server(identity)?;
    let Some((own, intermediates)) = identity.chain().split_first() else {
        return Err(IdentityError::Untrusted("there is none".to_owned()));
    };
    verifier(identity)?
        .verify_client_cert(own, intermediates, UnixTime::now())
        .map(|_| ())
        .map_err(|e| IdentityError::Untrusted(certificate_words(&e)))
}

/// Until when the own certificate is valid. Asked of the verifier, which says so of one that has expired: so
/// there is no second reader of certificates.
pub(crate) fn valid_until(identity: &Identity) -> Result<SystemTime, IdentityError> {
    let unknown = |what: String| IdentityError::Untrusted(what);
    let Some((own, intermediates)) = identity.chain().split_first() else {
        return Err(unknown("there is none".to_owned()));
    };
    let far = UnixTime::since_unix_epoch(AFTER_ALL);
    match verifier(identity)?.verify_client_cert(own, intermediates, far) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after,
            ..
        })) => Ok(UNIX_EPOCH + Duration::from_secs(not_after.as_secs())),
        other => Err(unknown(format!("its end is not known ({other:?})"))),
    }
}

fn verifier(
    identity: &Identity,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, IdentityError> {
    WebPkiClientVerifier::builder_with_provider(identity.roots(), provider())
        .build()
        .map_err(|e| IdentityError::Untrusted(format!("no trusted authority ({e})")))
}

/// Always named, never the process's default, which another crate may have set or made ambiguous.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(crate) fn key_error(error: rustls::Error) -> IdentityError {
    IdentityError::Key(error.to_string())
}

pub(crate) fn certificate_words(error: &rustls::Error) -> String {
    use rustls::CertificateError as C;
    let rustls::Error::InvalidCertificate(reason) = error else {
        return error.to_string();
    };
    match reason {
        C::Expired | C::ExpiredContext { .. } => "it has expired; issue a new one".to_owned(),
        C::NotValidYet | C::NotValidYetContext { .. } => {
            "it is not valid yet; check this machine's clock".to_owned()
        }
        // The latter of another authority of the same name.
        C::UnknownIssuer | C::BadSignature => {
            "it was not issued by the authority that was given; issue one with that authority, \
                             or give the authority that issued it"
                .to_owned()
        }
        other => format!("{other}; issue one with Authority::issue"),
    }
}
