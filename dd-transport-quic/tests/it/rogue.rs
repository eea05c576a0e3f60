//! A peer that speaks QUIC by hand, so that it can misbehave.

use std::net::SocketAddr;
use std::sync::Arc;

use dd_transport_quic::Authority;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::node::{id, soon};

/// Codes with which connections are closed; they are part of the protocol.
pub(crate) const REFUSED: u32 = 2;
pub(crate) const DUPLICATE: u32 = 3;
pub(crate) const REPLACED: u32 = 4;
pub(crate) const VIOLATION: u32 = 5;
pub(crate) const SLOW: u32 = 8;

pub(crate) struct Rogue {
    pub(crate) endpoint: Endpoint,
}

/// A connection of a rogue, with its stream.
pub(crate) struct RogueLink {
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
}

impl Rogue {
    /// With a certificate that the authority issued.
    pub(crate) fn issued(authority: &Authority, name: &str) -> Self {
        let issued = authority.issue(&id(name)).unwrap();
        Self::with(
            authority.certificate_pem(),
            issued.certificate_pem(),
            issued.key_pem(),
        )
    }

    pub(crate) fn with(authority: &str, certificate: &str, key: &str) -> Self {
        let roots = roots(authority);
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::clone(&roots),
            provider(),
        )
        .build()
        .unwrap();
        let mut server = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .unwrap();
        server.alpn_protocols = vec![b"dd/1".to_vec()];
        let client = client_builder(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        let server =
            quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server).unwrap()));
        let endpoint = Endpoint::server(server, ([127, 0, 0, 1], 0).into()).unwrap();
        Self::client(endpoint, client)
    }

    /// Trusts the authority and shows no certificate.
    pub(crate) fn anonymous(authority: &str) -> Self {
        Self::anonymous_speaking(authority, b"dd/1")
    }

    /// As well, with another protocol.
    pub(crate) fn anonymous_speaking(authority: &str, protocol: &[u8]) -> Self {
        let mut client = client_builder(roots(authority)).with_no_client_auth();
        client.alpn_protocols = vec![protocol.to_vec()];
        let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        Self::speaking(endpoint, client)
    }

    fn client(endpoint: Endpoint, mut client: rustls::ClientConfig) -> Self {
        client.alpn_protocols = vec![b"dd/1".to_vec()];
        Self::speaking(endpoint, client)
    }

    fn speaking(mut endpoint: Endpoint, client: rustls::ClientConfig) -> Self {
        let client = QuicClientConfig::try_from(client).unwrap();
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(client)));
        Self { endpoint }
    }

    pub(crate) async fn connect(&self, address: SocketAddr, name: &str) -> Connection {
        soon(self.endpoint.connect(address, name).unwrap())
            .await
            .unwrap()
    }

    /// Connects and greets with these bytes.
    pub(crate) async fn greet(&self, address: SocketAddr, name: &str, hello: &[u8]) -> RogueLink {
        let connection = self.connect(address, name).await;
        let mut send = soon(connection.open_uni()).await.unwrap();
        send.write_all(hello).await.unwrap();
        RogueLink { connection, send }
    }
}

impl RogueLink {
    /// The code and the reason with which the other side closed.
    pub(crate) async fn closed(&self) -> (u32, String) {
        closed(&self.connection).await
    }

    /// The other side's stream, after its hello of this length was read.
    pub(crate) async fn answer(&self, hello: usize) -> RecvStream {
        let mut recv = soon(self.connection.accept_uni()).await.unwrap();
        soon(recv.read_exact(&mut vec![0; hello])).await.unwrap();
        recv
    }
}

pub(crate) async fn closed(connection: &Connection) -> (u32, String) {
    match soon(connection.closed()).await {
        ConnectionError::ApplicationClosed(close) => {
            let code = u32::try_from(close.error_code.into_inner()).unwrap();
            (code, String::from_utf8(close.reason.to_vec()).unwrap())
        }
        other => panic!("{other:?} instead of a close with a code"),
    }
}

/// A well-formed hello. The golden bytes are tested in the crate.
pub(crate) fn hello(node: &str, cluster: &str, process: u64, known: (u64, u64)) -> Vec<u8> {
    let mut body = Vec::new();
    for name in [node, cluster] {
        body.push(name.len() as u8);
        body.extend(name.as_bytes());
    }
    for number in [process, known.0, known.1] {
        body.extend(number.to_be_bytes());
    }
    [b"ddqt\x01", &(body.len() as u16).to_be_bytes()[..], &body].concat()
}

fn roots(authority: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap())
        .unwrap();
    Arc::new(roots)
}

fn client_builder(
    roots: Arc<RootCertStore>,
) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
}

/// Serves a protocol with a chain of certificates, and asks for none.
pub(crate) fn server(chain: &str, key: &str, protocol: &[u8]) -> Endpoint {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut server = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    server.alpn_protocols = vec![protocol.to_vec()];
    let server = QuicServerConfig::try_from(server).unwrap();
    let server = quinn::ServerConfig::with_crypto(Arc::new(server));
    Endpoint::server(server, ([127, 0, 0, 1], 0).into()).unwrap()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
