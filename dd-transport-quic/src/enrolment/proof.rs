//! Keys of joiners, and the proof that a joiner has one.

use dd_gossip::NodeId;
use quinn::Connection;
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

/// A point of P-256, uncompressed.
pub(super) const POINT: usize = 65;
/// Longest signature by such a key.
pub(super) const MAX_SIGNATURE: usize = 72;

const LABEL: &[u8] = b"EXPORTER-dd-join/1";

/// The public key of a joiner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JoinerKey(pub(super) [u8; POINT]);

impl JoinerKey {
    /// Whether its holder signed this; no where it is no key at all.
    pub(super) fn signed(&self, transcript: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0);
        key.verify(transcript, signature).is_ok()
    }
}

impl PublicKeyData for JoinerKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// What a joiner signs: something that only the two ends of this connection know, and what it asks for. `None`
/// if the connection has no such secret, which is never so after a handshake.
pub(super) fn transcript(connection: &Connection, token: &str, node: &NodeId) -> Option<Vec<u8>> {
    let mut secret = [0; 32];
    connection
        .export_keying_material(&mut secret, LABEL, b"")
        .ok()?;
    let mut out = LABEL.to_vec();
    out.extend_from_slice(&secret);
    out.push(node.as_str().len() as u8);
    out.extend_from_slice(node.as_str().as_bytes());
    out.extend_from_slice(token.as_bytes());
    Some(out)
}
