//! The authority of development identities: derived from a secret, so that all nodes that have the
//! secret have the same authority without passing files around.

use dd_gossip::ClusterId;
use rcgen::{KeyPair, PKCS_ED25519};
use ring::hkdf;
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::{Authority, AuthorityError, IdentityError};

/// Separates this use of the secret from any other.
const SALT: &[u8] = b"dd development authority 1";
/// PKCS#8 of an Ed25519 key is this and the 32 bytes of the seed (RFC 8410).
const PKCS8_ED25519: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The authority that a secret and a cluster lead to.
pub(crate) fn dev_authority(cluster: &ClusterId, secret: &str) -> Result<Authority, IdentityError> {
    if secret.is_empty() {
        return Err(IdentityError::EmptySecret);
    }
    let mut pkcs8 = [0; 48];
    pkcs8[..16].copy_from_slice(&PKCS8_ED25519);
    let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(secret.as_bytes());
    derived
        .expand(&[cluster.as_str().as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|seed| seed.fill(&mut pkcs8[16..]))
        .map_err(|_| IdentityError::Key("the secret can't be stretched to a key".to_owned()))?;
    let pkcs8 = PrivatePkcs8KeyDer::from(&pkcs8[..]);
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ED25519)
        .map_err(AuthorityError::Generate)?;
    Ok(Authority::from_fixed_key(cluster, key)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_and_the_cluster_make_the_authority() {
        let key = |cluster: &str, secret| {
            dev_authority(&cluster.parse().unwrap(), secret)
                .unwrap()
                .to_pem()
                .1
        };
        assert_eq!(key("shop", "one"), key("shop", "one"));
        assert_ne!(key("shop", "one"), key("shop", "two"));
        assert_ne!(key("shop", "one"), key("mall", "one"));
        assert!(dev_authority(&"shop".parse().unwrap(), "").is_err());
    }
}
