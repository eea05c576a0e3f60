//! TLS of enrolment: the service shows a certificate of its authority, the joiner has none.

use std::sync::{Arc, OnceLock};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore};

use super::token::{Claims, fingerprint};
use super::{ALPN, service_name};
use crate::IdentityError;
use crate::tls::{certificate_words, key_error, provider};

/// The configuration of the service. It shows the authority after its own certificate, because joiners know
/// nothing but the authority's fingerprint.
pub(super) fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<QuicServerConfig>, IdentityError> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(key_error)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(key_error)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    let config = QuicServerConfig::try_from(config)
        .map_err(|_| IdentityError::Key("no cipher suite for QUIC".to_owned()))?;
    Ok(Arc::new(config))
}

/// The configuration of a joiner.
pub(super) fn client(verifier: Arc<Expected>) -> Result<Arc<QuicClientConfig>, IdentityError> {
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(key_error)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    let config = QuicClientConfig::try_from(config)
        .map_err(|_| IdentityError::Key("no cipher suite for QUIC".to_owned()))?;
    Ok(Arc::new(config))
}

/// What is wrong with who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Impostor {
    /// It shows no certificate of the token's authority.
    Authority,
    /// It is the authority's, and not of the token's cluster, or not the service, or not valid now.
    Certificate(String),
}

/// Accepts the service of the authority and the cluster that a token names, and nobody else.
#[derive(Debug)]
pub(super) struct Expected {
    authority: [u8; 32],
    name: Option<ServerName<'static>>,
    found: OnceLock<Impostor>,
}

impl Expected {
    pub(super) fn of(claims: &Claims) -> Arc<Self> {
        Arc::new(Self {
            authority: claims.authority,
            name: ServerName::try_from(service_name(&claims.cluster)).ok(),
            found: OnceLock::new(),
        })
    }

    /// Why the last one was not accepted.
    pub(super) fn impostor(&self) -> Option<&Impostor> {
        self.found.get()
    }

    /// Whether a certificate is that of the authority.
    pub(super) fn is_authority(&self, der: &CertificateDer<'_>) -> bool {
        webpki::EndEntityCert::try_from(der).is_ok_and(|certificate| {
            let key = certificate.subject_public_key_info();
            fingerprint(key.as_ref()) == self.authority
        })
    }

    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Impostor> {
        let mut chain = chain.iter();
        let authority = chain.find(|der| self.is_authority(der));
        let authority = authority.ok_or(Impostor::Authority)?.clone().into_owned();
        let wrong = |error: rustls::Error| Impostor::Certificate(certificate_words(&error));
        let mut roots = RootCertStore::empty();
        roots.add(authority).map_err(wrong)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider())
            .build()
            .map_err(|error| Impostor::Certificate(error.to_string()))?;
        let name = self.name.as_ref();
        let name = name.ok_or(Impostor::Certificate("it has no name".to_owned()))?;
        verifier
            .verify_server_cert(end_entity, &[], name, &[], now)
            .map_err(wrong)
    }
}

impl ServerCertVerifier for Expected {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _asked_for: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(end_entity, intermediates, now)
            .map_err(|impostor| {
                // The first one is told; each attempt has a verifier of its own.
                let _ = self.found.set(impostor);
                CertificateError::ApplicationVerificationFailure.into()
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        let algorithms = provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
