//! Tokens: short-lived permissions to get a certificate.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf, BufMut};
use dd_gossip::{ClusterId, NodeId};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hkdf, hmac};

/// How long a token is valid unless asked otherwise: 10 minutes.
pub const DEFAULT_TOKEN_VALIDITY: Duration = Duration::from_secs(10 * 60);
/// How long a token can be valid: a day.
pub const MAX_TOKEN_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// What tokens begin with, so that people and scanners for secrets know them.
const MARK: &str = "ddjoin_";
const VERSION: u8 = 1;
/// Longest text of a token: far more than the longest names take.
pub(super) const MAX_TOKEN: usize = 512;
/// What follows the prefix in a name that is made up.
const RANDOM_NAME: usize = 8;
/// Longest name of a node.
const MAX_NAME: usize = dd_gossip::MAX_NAME;
const SALT: &[u8] = b"dd enrolment token 1";
const FINGERPRINT: usize = 32;
const ID: usize = 16;
const MAC: usize = 32;

/// Which names a token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenNames {
    /// This one, and once.
    Exact(NodeId),
    /// All that begin so, any number of times while the token is valid.
    Prefix(String),
    /// All, any number of times while the token is valid.
    Any,
}

impl TokenNames {
    /// Whether the token is good for a node.
    pub fn allow(&self, node: &NodeId) -> bool {
        match self {
            Self::Exact(name) => name == node,
            Self::Prefix(prefix) => node.as_str().starts_with(prefix),
            Self::Any => true,
        }
    }

    fn check(&self) -> Result<(), TokenError> {
        let Self::Prefix(prefix) = self else {
            return Ok(());
        };
        let longest = prefix.len() + RANDOM_NAME;
        let whole = format!("{prefix}{}", "0".repeat(RANDOM_NAME));
        if prefix.is_empty() || longest > MAX_NAME || whole.parse::<NodeId>().is_err() {
            return Err(TokenError::Prefix(prefix.clone()));
        }
        Ok(())
    }

    /// The name of a node that does not care, or a random one.
    pub(super) fn pick(&self) -> Result<NodeId, TokenError> {
        let prefix = match self {
            Self::Exact(name) => return Ok(name.clone()),
            Self::Prefix(prefix) => prefix,
            Self::Any => "node-",
        };
        let [a, b, c, d] = random::<4>()?;
        let name = format!("{prefix}{a:02x}{b:02x}{c:02x}{d:02x}");
        name.parse()
            .map_err(|_| TokenError::Prefix(prefix.to_owned()))
    }
}

/// The names as they are written for people: `b`, `pod-*` or `*`.
impl fmt::Display for TokenNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl FromStr for TokenNames {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let names = match text.strip_suffix('*') {
            Some("") => Self::Any,
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(text.parse().map_err(TokenError::Name)?),
        };
        names.check()?;
        Ok(names)
    }
}

/// What a token is to be good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOptions {
    /// For which names.
    pub names: TokenNames,
    /// For how long from now, a day at most ([`MAX_TOKEN_VALIDITY`]).
    pub valid_for: Duration,
}

impl TokenOptions {
    /// For these names, and 10 minutes ([`DEFAULT_TOKEN_VALIDITY`]).
    pub fn new(names: TokenNames) -> Self {
        Self {
            names,
            valid_for: DEFAULT_TOKEN_VALIDITY,
        }
    }

    /// Valid for this long from now.
    #[must_use]
    pub fn valid_for(self, valid_for: Duration) -> Self {
        Self { valid_for, ..self }
    }
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It was to be valid for too long.
    #[error(
        "a token is valid for at most {MAX_TOKEN_VALIDITY:?}; ask for less, and make another one later"
    )]
    TooLong,
    /// Its prefix can't begin a name.
    #[error(
        "no node's name can begin with {0:?} and go on: names have a to z, 0 to 9 and '-' inside, and leave \
         room for 8 characters more"
    )]
    Prefix(String),
    /// Its name is none.
    #[error(transparent)]
    Name(dd_gossip::NameError),
    /// A text is no token.
    #[error("this is no token: {0}; copy all of it, or have a new one made")]
    Malformed(&'static str),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// A permission to get a certificate, made by [`Authority::token`](crate::Authority::token). Whoever has it can
/// become a node of the cluster while it is valid: hand it over as a secret.
///
/// [`as_str`](Self::as_str) is the text to pass on, which [`str::parse`] reads. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    text: String,
    signed: Vec<u8>,
    mac: [u8; MAC],
    pub(super) claims: Claims,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) cluster: ClusterId,
    /// Of the authority's public key.
    pub(super) authority: [u8; FINGERPRINT],
    /// Seconds since 1970.
    pub(super) expires: u64,
    pub(super) names: TokenNames,
    pub(super) id: [u8; ID],
}

impl Claims {
    fn encode(&self) -> Vec<u8> {
        let (kind, name) = match &self.names {
            TokenNames::Any => (0, ""),
            TokenNames::Prefix(prefix) => (1, prefix.as_str()),
            TokenNames::Exact(name) => (2, name.as_str()),
        };
        let mut out = vec![VERSION];
        out.put_slice(&self.authority);
        out.put_u64(self.expires);
        out.put_slice(&self.id);
        // Names have at most 63 bytes.
        out.put_u8(self.cluster.as_str().len() as u8);
        out.put_slice(self.cluster.as_str().as_bytes());
        out.put_u8(kind);
        out.put_u8(name.len() as u8);
        out.put_slice(name.as_bytes());
        out
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, TokenError> {
        let wrong = TokenError::Malformed;
        let short = |_| wrong("it is too short");
        let version = bytes.try_get_u8().map_err(short)?;
        if version != VERSION {
            return Err(wrong("it is of another version"));
        }
        let mut authority = [0; FINGERPRINT];
        bytes.try_copy_to_slice(&mut authority).map_err(short)?;
        let expires = bytes.try_get_u64().map_err(short)?;
        let mut id = [0; ID];
        bytes.try_copy_to_slice(&mut id).map_err(short)?;
        let cluster = text(&mut bytes)?
            .parse()
            .map_err(|_| wrong("its cluster has no name"))?;
        let kind = bytes.try_get_u8().map_err(short)?;
        let name = text(&mut bytes)?;
        let names = match kind {
            0 if name.is_empty() => TokenNames::Any,
            1 => TokenNames::Prefix(name.to_owned()),
            2 => TokenNames::Exact(name.parse().map_err(TokenError::Name)?),
            _ => return Err(wrong("it is for names of an unknown kind")),
        };
        names.check()?;
        if bytes.has_remaining() {
            return Err(wrong("it is too long"));
        }
        Ok(Self {
            cluster,
            authority,
            expires,
            names,
            id,
        })
    }
}

fn text<'b>(bytes: &mut &'b [u8]) -> Result<&'b str, TokenError> {
    let short = TokenError::Malformed("it is too short");
    let length = bytes.try_get_u8().map_err(|_| short.clone())?;
    let (text, rest) = bytes.split_at_checked(length.into()).ok_or(short)?;
    *bytes = rest;
    std::str::from_utf8(text).map_err(|_| TokenError::Malformed("a name in it is no text"))
}

impl JoinToken {
    /// The text to pass on.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The cluster that it is for.
    pub fn cluster(&self) -> &ClusterId {
        &self.claims.cluster
    }

    /// The names that it is good for.
    pub fn names(&self) -> &TokenNames {
        &self.claims.names
    }

    /// Until when.
    pub fn valid_until(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.claims.expires.min(u64::from(u32::MAX)))
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let wrong = TokenError::Malformed;
        let text = text.trim();
        if text.len() > MAX_TOKEN {
            return Err(wrong("it is too long"));
        }
        let body = text
            .strip_prefix(MARK)
            .ok_or(wrong("it does not begin with ddjoin_"))?;
        let mut bytes = URL_SAFE_NO_PAD
            .decode(body)
            .map_err(|_| wrong("it is not whole"))?;
        let end = bytes.len().checked_sub(MAC);
        let mac = bytes.split_off(end.ok_or(wrong("it is too short"))?);
        let mac = mac.try_into().map_err(|_| wrong("it is too short"))?;
        let claims = Claims::decode(&bytes)?;
        Ok(Self {
            text: text.to_owned(),
            signed: bytes,
            mac,
            claims,
        })
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("cluster", self.cluster())
            .field("names", self.names())
            .field("valid_until", &self.valid_until())
            .finish_non_exhaustive()
    }
}

/// What an authority makes and checks tokens with.
pub(crate) struct TokenKey(hmac::Key);

impl TokenKey {
    /// From the authority's private key.
    pub(crate) fn new(private: &[u8], cluster: &ClusterId) -> Result<Self, TokenError> {
        let stretched = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(private);
        let info = [cluster.as_str().as_bytes()];
        let key = stretched.expand(&info, hmac::HMAC_SHA256);
        Ok(Self(key.map_err(|_| TokenError::Random)?.into()))
    }

    pub(crate) fn make(
        &self,
        cluster: &ClusterId,
        authority: [u8; FINGERPRINT],
        options: TokenOptions,
    ) -> Result<JoinToken, TokenError> {
        options.names.check()?;
        if options.valid_for > MAX_TOKEN_VALIDITY {
            return Err(TokenError::TooLong);
        }
        let claims = Claims {
            cluster: cluster.clone(),
            authority,
            expires: now().saturating_add(options.valid_for.as_secs()),
            names: options.names,
            id: random()?,
        };
        let signed = claims.encode();
        let mut mac = [0; MAC];
        mac.copy_from_slice(hmac::sign(&self.0, &signed).as_ref());
        let whole = [&signed[..], &mac].concat();
        Ok(JoinToken {
            text: format!("{MARK}{}", URL_SAFE_NO_PAD.encode(whole)),
            signed,
            mac,
            claims,
        })
    }

    /// Whether this key made it, and nothing in it was changed.
    pub(super) fn made(&self, token: &JoinToken) -> bool {
        hmac::verify(&self.0, &token.signed, &token.mac).is_ok()
    }
}

/// The fingerprint of an authority: of its public key, so that it stays when its certificate is renewed.
pub(crate) fn fingerprint(subject_public_key_info: &[u8]) -> [u8; FINGERPRINT] {
    let digest = digest::digest(&digest::SHA256, subject_public_key_info);
    let mut out = [0; FINGERPRINT];
    out.copy_from_slice(digest.as_ref());
    out
}

/// Seconds since 1970; a clock before that counts as 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

fn random<const N: usize>() -> Result<[u8; N], TokenError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| TokenError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Authority;

    fn authority() -> Authority {
        Authority::new(&"shop".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_token_is_read_back_and_not_shown() {
        let authority = authority();
        for names in ["b", "pod-*", "*"] {
            let options = TokenOptions::new(names.parse().unwrap());
            let token = authority.token(options).unwrap();
            let again: JoinToken = format!(" {}\n", token.as_str()).parse().unwrap();
            assert_eq!(again, token);
            assert_eq!(again.names().to_string(), names);
            assert_eq!(again.cluster().as_str(), "shop");
            let left = again.valid_until().duration_since(SystemTime::now());
            assert!(left.unwrap() <= DEFAULT_TOKEN_VALIDITY);
            assert!(!format!("{token:?}").contains(&token.as_str()[MARK.len()..][..8]));
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let authority = authority();
        let token = authority.token(TokenOptions::new(TokenNames::Any)).unwrap();
        let body = URL_SAFE_NO_PAD
            .decode(&token.as_str()[MARK.len()..])
            .unwrap();
        let key = authority.token_key().unwrap();
        assert!(key.made(&token));
        for at in 0..body.len() {
            let mut body = body.clone();
            body[at] ^= 1;
            let text = format!("{MARK}{}", URL_SAFE_NO_PAD.encode(body));
            let made = text.parse().map(|token| key.made(&token));
            assert_ne!(made, Ok(true), "byte {at}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let long = format!("{MARK}{}", "A".repeat(MAX_TOKEN));
        for text in ["", "ddjoin_", "ddjoin_AAAA", "ddjoin_!", "x", &long] {
            assert!(text.parse::<JoinToken>().is_err(), "{text}");
        }
        let too_long = TokenOptions::new(TokenNames::Any).valid_for(MAX_TOKEN_VALIDITY * 2);
        assert_eq!(authority().token(too_long), Err(TokenError::TooLong));
        for names in ["", "-*", "A*", "a b", &format!("{}*", "p".repeat(60))] {
            assert!(names.parse::<TokenNames>().is_err(), "{names}");
        }
    }

    #[test]
    fn names_are_made_up_under_the_prefix() {
        let names: TokenNames = "pod-*".parse().unwrap();
        let (one, other) = (names.pick().unwrap(), names.pick().unwrap());
        assert!(names.allow(&one) && one != other);
        assert_eq!(one.as_str().len(), "pod-".len() + 8);
        assert!(
            TokenNames::Any
                .pick()
                .unwrap()
                .as_str()
                .starts_with("node-")
        );
        assert!(!names.allow(&"node-1".parse().unwrap()));
    }
}
