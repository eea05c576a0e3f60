//! Joining by token, over real sockets.

use std::time::{Duration, SystemTime};

use dd_transport_quic::{
    Authority, ENROLLED_VALIDITY, EnrolError, Enrolment, EnrolmentOptions, Identity, JoinToken,
    MAX_ENROLMENT_CONNECTIONS, TokenOptions,
};

use crate::node::{Node, cluster, config, id, issued, soon};
use crate::rogue::{Rogue, server};

const PROTOCOL: &[u8] = b"dd-join/1";

fn authority() -> Authority {
    Authority::new(&cluster()).unwrap()
}

/// Another handle to the same authority.
fn again(authority: &Authority) -> Authority {
    let (certificate, key) = authority.to_pem();
    Authority::from_pem(&certificate, &key).unwrap()
}

fn serve(authority: &Authority, options: EnrolmentOptions) -> (Enrolment, String) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let service = Enrolment::serve(again(authority), listen, options).unwrap();
    let address = service.local_addr().to_string();
    (service, address)
}

fn token(authority: &Authority, names: &str) -> JoinToken {
    let options = TokenOptions::new(names.parse().unwrap());
    authority.token(options).unwrap()
}

async fn refused(address: &str, token: &JoinToken, node: Option<&str>) -> EnrolError {
    let enrolled = soon(Identity::enrol(address, token, node.map(id))).await;
    enrolled.unwrap_err()
}

#[tokio::test]
async fn nodes_that_enrolled_talk_with_each_other_and_with_those_issued_by_hand() {
    let authority = authority();
    let (_service, address) = serve(&authority, EnrolmentOptions::default());
    let pods = token(&authority, "pod-*");
    let one = soon(Identity::enrol(&address, &pods, None)).await.unwrap();
    let other = soon(Identity::enrol(&address, &pods, Some(id("pod-x"))))
        .await
        .unwrap();
    assert!(one.node().as_str().starts_with("pod-"));
    assert_eq!(other.node().as_str(), "pod-x");
    let left = one.valid_until().duration_since(SystemTime::now()).unwrap();
    assert!(left <= ENROLLED_VALIDITY && left > ENROLLED_VALIDITY / 2);
    let by_hand = issued(&authority, "a");
    assert!(by_hand.valid_until() > one.valid_until());

    let name = one.node().as_str().to_owned();
    let mut one = Node::with(one, config());
    let mut other = Node::with(other, config());
    let mut by_hand = Node::with(by_hand, config());
    one.dial("pod-x", other.address());
    one.connected("pod-x").await;
    other.connected(&name).await;
    by_hand.dial(&name, one.address());
    by_hand.connected(&name).await;
    one.connected("a").await;
}

#[tokio::test]
async fn a_token_for_a_name_is_good_for_it_and_once() {
    let authority = authority();
    let (_service, address) = serve(&authority, EnrolmentOptions::default());
    let only_b = token(&authority, "b");
    let error = refused(&address, &only_b, Some("c")).await;
    assert!(
        matches!(&error, EnrolError::NameNotAllowed { allowed, .. } if allowed == "b"),
        "{error}"
    );
    let b = soon(Identity::enrol(&address, &only_b, None))
        .await
        .unwrap();
    assert_eq!(b.node().as_str(), "b");
    for _ in 0..2 {
        let error = refused(&address, &only_b, None).await;
        assert!(matches!(error, EnrolError::Used), "{error}");
    }
    // Another token for the same name is another permission.
    let more = token(&authority, "b");
    soon(Identity::enrol(&address, &more, None)).await.unwrap();
}

#[tokio::test]
async fn what_has_expired_or_was_changed_is_refused() {
    let authority = authority();
    let (_service, address) = serve(&authority, EnrolmentOptions::default());
    let expired = TokenOptions::new("*".parse().unwrap()).valid_for(Duration::ZERO);
    let expired = authority.token(expired).unwrap();
    let error = refused(&address, &expired, None).await;
    assert!(matches!(error, EnrolError::Expired), "{error}");

    // The last characters are the MAC, and the first ones the version and the authority.
    let good = token(&authority, "pod-*");
    let text = good.as_str();
    let at = text.len() - 20;
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
    let error = refused(&address, &changed.parse().unwrap(), None).await;
    assert!(matches!(error, EnrolError::Tampered), "{error}");
}

#[tokio::test]
async fn a_name_that_is_in_use_is_not_given_away() {
    let authority = authority();
    let options = EnrolmentOptions::default().is_taken(|node| node.as_str() == "pod-a");
    let (_service, address) = serve(&authority, options);
    let pods = token(&authority, "pod-*");
    let error = refused(&address, &pods, Some("pod-a")).await;
    assert!(matches!(error, EnrolError::NameTaken { .. }), "{error}");
    let free = Identity::enrol(&address, &pods, Some(id("pod-b")));
    soon(free).await.unwrap();
}

#[tokio::test]
async fn nobody_but_the_service_of_the_authority_is_shown_the_token() {
    let ours = authority();
    let token = token(&ours, "*");
    // Another authority, of a cluster of the same name.
    let (_service, address) = serve(&authority(), EnrolmentOptions::default());
    let error = refused(&address, &token, None).await;
    assert!(
        matches!(error, EnrolError::OtherAuthority { .. }),
        "{error}"
    );
    // A node of the cluster, whose certificate is good in every other way.
    let node = ours.issue(&id("a")).unwrap();
    let chain = format!("{}{}", node.certificate_pem(), ours.certificate_pem());
    let rogue = server(&chain, node.key_pem(), PROTOCOL);
    let address = rogue.local_addr().unwrap().to_string();
    let taken = tokio::spawn(async move { rogue.accept().await.unwrap().await.is_ok() });
    let error = refused(&address, &token, None).await;
    assert!(matches!(error, EnrolError::OtherService { .. }), "{error}");
    assert!(error.to_string().contains("cluster shop"), "{error}");
    assert!(!soon(taken).await.unwrap(), "it heard nothing");
    // Whoever has a certificate of the authority's own making, and not its key.
    let forged = under_another_key(&ours);
    let rogue = server(&forged.0, &forged.1, PROTOCOL);
    let address = rogue.local_addr().unwrap().to_string();
    tokio::spawn(async move { rogue.accept().await.unwrap().await.is_ok() });
    let error = refused(&address, &token, None).await;
    assert!(matches!(error, EnrolError::OtherService { .. }), "{error}");
}

/// A chain that ends with the authority's certificate, under one of another authority.
fn under_another_key(ours: &Authority) -> (String, String) {
    let other = authority().issue(&id("a")).unwrap();
    let chain = format!("{}{}", other.certificate_pem(), ours.certificate_pem());
    (chain, other.key_pem().to_owned())
}

#[tokio::test]
async fn nobody_there_and_no_address_are_said() {
    let token = token(&authority(), "*");
    let error = refused("nowhere", &token, None).await;
    assert!(matches!(error, EnrolError::Address(_)), "{error}");
    // A socket that never answers is as good as none.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let error = refused(&address, &token, None).await;
    assert!(matches!(error, EnrolError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_node_is_no_service_and_the_service_no_node() {
    let authority = authority();
    let (_service, address) = serve(&authority, EnrolmentOptions::default());
    let node = Node::with(issued(&authority, "a"), config());
    let token = token(&authority, "*");
    let error = refused(&node.transport.local_addr().to_string(), &token, None).await;
    assert!(matches!(error, EnrolError::Unreachable { .. }), "{error}");
    let stranger = Rogue::anonymous(authority.certificate_pem());
    let dialled = stranger
        .endpoint
        .connect(address.parse().unwrap(), "shop.dd-join");
    assert!(soon(dialled.unwrap()).await.is_err(), "another protocol");
}

#[tokio::test]
async fn garbage_is_answered_or_dropped_and_others_are_served() {
    let authority = authority();
    let (service, address) = serve(&authority, EnrolmentOptions::default());
    let rogue = Rogue::anonymous_speaking(authority.certificate_pem(), PROTOCOL);
    let connect = || rogue.connect(service.local_addr(), "shop.dd-join");
    for bytes in [
        &b""[..],
        b"\0",
        b"\x01\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 400],
        &[1; 100_000],
    ] {
        let connection = connect().await;
        let (mut send, mut recv) = soon(connection.open_bi()).await.unwrap();
        // It may have heard enough before all is written.
        let _ = soon(send.write_all(bytes)).await;
        let _ = send.finish();
        let answer = soon(recv.read_to_end(1000)).await;
        assert_eq!(answer.unwrap_or_else(|_| vec![1, 1]), [1, 1], "malformed");
    }
    // Those that say nothing hold a place until they are given up, and no more places than there are.
    let mut silent = Vec::new();
    for _ in 0..MAX_ENROLMENT_CONNECTIONS / 2 {
        silent.push(connect().await);
    }
    let pods = token(&authority, "pod-*");
    soon(Identity::enrol(&address, &pods, None)).await.unwrap();
    drop(service);
    let error = refused(&address, &pods, None).await;
    assert!(matches!(error, EnrolError::Unreachable { .. }), "{error}");
}
