//! Addresses of peers: `host:port`, where a host is an IP address or a DNS name.

use std::net::{IpAddr, SocketAddr};

use dd_gossip::AddressError;

/// Longest DNS name.
const MAX_HOST: usize = 253;
/// Addresses of a node's name that are tried in one attempt.
pub(crate) const MAX_ADDRESSES: usize = 4;
/// Addresses of a seed's name, each maybe of another node, that are tried in one attempt.
pub(crate) const MAX_SEED_ADDRESSES: usize = 16;
const BEYOND_LOOPBACK: &str = "a development identity must not dial beyond this machine: use \
    127.0.0.1 or ::1, use certificates of an Authority, or, if whoever can reach the address may be \
    trusted, call Identity::allow_dev_beyond_loopback";

/// A host and a port that look usable; a name is looked up at each attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    port: u16,
    loopback_only: bool,
}

impl Address {
    /// Reads `host:port`; IPv6 addresses stand in brackets.
    pub(crate) fn parse(address: &str, loopback_only: bool) -> Result<Self, AddressError> {
        let wrong = |reason: &str| {
            let address = address.chars().take(MAX_HOST + 8).collect();
            AddressError {
                address,
                reason: reason.to_owned(),
            }
        };
        if address.contains("://") {
            return Err(wrong(
                "it is not to have a scheme; write host:port alone, for example 10.0.0.7:7400",
            ));
        }
        let Some((host, port)) = address.rsplit_once(':') else {
            return Err(wrong(
                "it has no port; write host:port, for example 10.0.0.7:7400",
            ));
        };
        let port = match port.parse() {
            Ok(port) if port != 0 => port,
            _ => {
                return Err(wrong(
                    "the port after the last ':' must be a number from 1 to 65535",
                ));
            }
        };
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        if bracketed.is_none() && host.contains(':') {
            return Err(wrong("an IPv6 address must stand in brackets: [::1]:7400"));
        }
        match host.parse::<IpAddr>() {
            Ok(ip) if loopback_only && !ip.is_loopback() => return Err(wrong(BEYOND_LOOPBACK)),
            Err(_) if bracketed.is_some() => {
                return Err(wrong("what stands in brackets is not an IPv6 address"));
            }
            Err(_) if !is_host_name(host) => {
                return Err(wrong("the host is neither an IP address nor a DNS name"));
            }
            _ => {}
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            loopback_only,
        })
    }

    /// The addresses to try now, in order, that a socket bound to `local` can reach; so many at most.
    pub(crate) async fn resolve(
        &self,
        local: SocketAddr,
        most: usize,
    ) -> Result<Vec<SocketAddr>, String> {
        let found: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|e| format!("the name {} can't be resolved: {e}; check DNS", self.host))?
            .collect();
        let mut usable: Vec<_> = found
            .into_iter()
            .filter(|a| a.is_ipv4() || local.is_ipv6())
            .collect();
        if usable.is_empty() {
            return Err(format!(
                "{} has no IPv4 address, and this node listens on {local}; listen on an IPv6 address \
                 to reach it",
                self.host
            ));
        }
        if self.loopback_only {
            usable.retain(|address| address.ip().is_loopback());
            if usable.is_empty() {
                return Err(BEYOND_LOOPBACK.to_owned());
            }
        }
        usable.truncate(most);
        Ok(usable)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn is_host_name(host: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    (1..=MAX_HOST).contains(&host.len()) && host.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse() {
        for good in [
            "10.0.0.7:7400",
            "[::1]:1",
            "node-1.example.org:65535",
            "localhost:80",
        ] {
            assert_eq!(Address::parse(good, false).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "host",
            "host:",
            "host:0",
            "host:65536",
            "::1:80",
            "[host]:80",
            ":80",
            "a b:1",
        ] {
            let error = Address::parse(bad, false).unwrap_err();
            assert!(!error.reason.is_empty(), "{bad}");
        }
    }

    #[test]
    fn a_scheme_is_told_from_an_ipv6_address() {
        for (bad, why) in [
            ("http://x:1", "scheme"),
            ("quic://10.0.0.7", "scheme"),
            ("::1:80", "brackets"),
        ] {
            let reason = Address::parse(bad, false).unwrap_err().reason;
            assert!(reason.contains(why), "{bad}: {reason}");
        }
    }

    #[test]
    fn dev_addresses_stay_on_this_machine() {
        assert!(Address::parse("127.0.0.1:80", true).is_ok());
        let error = Address::parse("192.0.2.1:80", true).unwrap_err();
        assert!(
            error.to_string().contains("allow_dev_beyond_loopback"),
            "{error}"
        );
    }
}
