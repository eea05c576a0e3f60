//! Who is let in, who is not, and that both sides can say why.

use dd_gossip::{Transport, TransportEvent};
use dd_transport_quic::{Authority, BindError, Identity, QuicConfig, QuicTransport};

use crate::node::{Node, cluster, config, id, issued};
use crate::rogue::{REFUSED, Rogue, closed, hello};

/// Both sides refuse, and neither ever sees the other as connected.
async fn refuse_each_other(a: &mut Node, b: &mut Node, word: &str) {
    let address = b.address();
    a.dial("b", address);
    let (whom, reason) = a.refused().await;
    assert_eq!(whom, format!("b at {address}"));
    assert!(reason.contains(word), "{reason}");
    let (whom, reason) = b.refused().await;
    assert!(whom.contains("127.0.0.1"), "{whom}");
    assert!(reason.contains(word), "{reason}");
}

#[tokio::test]
async fn certificates_of_one_authority_work() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut a = Node::with(issued(&authority, "a"), config());
    let mut b = Node::with(issued(&authority, "b"), config());
    a.dial("b", b.address());
    a.connected("b").await;
    b.connected("a").await;
}

#[tokio::test]
async fn another_authority_is_refused() {
    let mut a = Node::with(issued(&Authority::new(&cluster()).unwrap(), "a"), config());
    let mut b = Node::with(issued(&Authority::new(&cluster()).unwrap(), "b"), config());
    refuse_each_other(&mut a, &mut b, "authority").await;
}

#[tokio::test]
async fn a_client_that_trusts_the_server_but_is_not_trusted_is_never_connected() {
    // The trap of TLS 1.3: the client's handshake succeeds before the server has seen its
    // certificate.
    let old = Authority::new(&cluster()).unwrap();
    let new = Authority::new(&cluster()).unwrap();
    let own = old.issue(&id("a")).unwrap();
    let both = format!("{}{}", old.certificate_pem(), new.certificate_pem());
    let a = Identity::from_pem(&both, own.certificate_pem(), own.key_pem()).unwrap();
    let mut a = Node::with(a, config());
    let mut b = Node::with(issued(&new, "b"), config());
    refuse_each_other(&mut a, &mut b, "authority").await;
}

#[tokio::test]
async fn an_identity_is_renewed_while_connections_go_on() {
    let [old, new] = [0, 1].map(|_| Authority::new(&cluster()).unwrap());
    let mut a = Node::with(issued(&old, "a"), config());
    let mut b = Node::with(issued(&old, "b"), config());
    a.dial("b", b.address());
    a.connected("b").await;
    b.connected("a").await;
    // Somebody else's is refused, and changes nothing.
    let renewal = a.transport.renewal();
    let error = renewal.renew(&issued(&new, "b")).unwrap_err();
    assert!(error.to_string().contains("that of b of shop"), "{error}");
    renewal.renew(&issued(&new, "a")).unwrap();
    a.send("b", "over the connection from before").unwrap();
    assert!(matches!(b.event().await, TransportEvent::Frame { .. }));
    // New ones are made with the new one: dialled, found as a seed, and accepted.
    let mut c = Node::with(issued(&new, "c"), config());
    a.dial("c", c.address());
    a.connected("c").await;
    c.connected("a").await;
    let mut d = Node::with(issued(&new, "d"), config());
    a.transport.seed(&d.address().to_string()).unwrap();
    a.connected("d").await;
    d.connected("a").await;
    let mut e = Node::with(issued(&new, "e"), config());
    e.dial("a", a.address());
    e.connected("a").await;
    a.connected("e").await;
    // Nothing is there any more to renew.
    a.closed().await;
    drop(a);
    renewal.renew(&issued(&new, "a")).unwrap();
}

#[tokio::test]
async fn another_secret_is_refused() {
    let mut a = Node::dev("a");
    let other = Identity::dev(&cluster(), &id("b"), "another secret").unwrap();
    let mut b = Node::with(other, config());
    refuse_each_other(&mut a, &mut b, "secret").await;
}

#[tokio::test]
async fn an_address_answered_by_another_node_is_refused() {
    let (mut a, mut b) = (Node::dev("a"), Node::dev("b"));
    a.dial("c", b.address());
    let (whom, reason) = a.refused().await;
    assert_eq!(whom, format!("c at {}", b.address()));
    assert!(reason.contains("not that of the expected node"), "{reason}");
    let (_, reason) = b.refused().await;
    assert!(
        reason.contains("not that of the node that the peer wanted"),
        "{reason}"
    );
}

#[tokio::test]
async fn another_cluster_under_one_authority_is_refused() {
    let common = Common::new();
    let mut a = Node::with(common.identity("a.shop.dd"), config());
    let mut b = Node::with(common.identity("b.mall.dd"), config());
    a.dial("b", b.address());
    let (_, reason) = a.refused().await;
    assert!(reason.contains("not that of the expected node"), "{reason}");
    assert!(reason.contains("b.shop.dd"), "{reason}");
    b.refused().await;
}

#[tokio::test]
async fn the_accepting_side_checks_the_cluster_itself() {
    let common = Common::new();
    let mut b = Node::with(common.identity("b.mall.dd"), config());
    let (certificate, key) = common.issue("a.shop.dd");
    let rogue = Rogue::with(&common.certificate, &certificate, &key);
    let connection = rogue.connect(b.address(), "b.mall.dd").await;
    let (code, told) = closed(&connection).await;
    assert_eq!(code, REFUSED);
    assert!(told.contains("cluster shop"), "{told}");
    let (_, reason) = b.refused().await;
    assert!(
        reason.contains("cluster shop") && reason.contains("cluster mall"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_node_that_claims_another_name_is_refused() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut b = Node::with(issued(&authority, "b"), config());
    let rogue = Rogue::issued(&authority, "c");
    for (node, of) in [("a", "shop"), ("c", "mall")] {
        let link = rogue
            .greet(b.address(), "b.shop.dd", &hello(node, of, 1, (0, 0)))
            .await;
        let (code, told) = link.closed().await;
        assert_eq!(code, REFUSED);
        let claim = format!("claims to be node {node} of cluster {of}");
        assert!(told.contains(&claim), "{told}");
        let (whom, reason) = b.refused().await;
        assert!(whom.starts_with("c at 127.0.0.1"), "{whom}");
        assert!(reason.contains(&claim), "{reason}");
    }
}

#[tokio::test]
async fn a_dialled_node_that_claims_another_name_is_refused() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut a = Node::with(issued(&authority, "a"), config());
    let rogue = Rogue::issued(&authority, "b");
    a.dial("b", rogue.endpoint.local_addr().unwrap());
    let incoming = crate::node::soon(rogue.endpoint.accept()).await.unwrap();
    let connection = crate::node::soon(incoming.accept().unwrap()).await.unwrap();
    let mut send = connection.open_uni().await.unwrap();
    send.write_all(&hello("c", "shop", 1, (0, 0)))
        .await
        .unwrap();
    assert_eq!(closed(&connection).await.0, REFUSED);
    let (whom, reason) = a.refused().await;
    assert!(whom.starts_with("b at "), "{whom}");
    assert!(reason.contains("claims to be node c"), "{reason}");
}

#[tokio::test]
async fn two_processes_of_one_name_refuse_each_other() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut a = Node::with(issued(&authority, "a"), config());
    let rogue = Rogue::issued(&authority, "a");
    let link = rogue
        .greet(a.address(), "a.shop.dd", &hello("a", "shop", 1, (0, 0)))
        .await;
    assert_eq!(link.closed().await.0, REFUSED);
    assert!(a.refused().await.1.contains("two processes are node a"));
}

#[tokio::test]
async fn two_processes_of_another_name_that_take_each_others_place_are_told_apart_from_a_restart() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut a = Node::with(issued(&authority, "a"), config());
    let rogue = Rogue::issued(&authority, "b");
    let mut links = Vec::new();
    // Two restarts, and then the second process comes back, and so does the third.
    for (process, why) in [
        (1, None),
        (2, Some("restarted")),
        (3, Some("restarted")),
        (2, Some("two processes are node b")),
        (3, Some("two processes are node b")),
    ] {
        let hello = hello("b", "shop", process, (0, 0));
        links.push(rogue.greet(a.address(), "a.shop.dd", &hello).await);
        if let Some(why) = why {
            if why.starts_with("two") {
                let (whom, reason) = a.refused().await;
                assert_eq!(whom, "b");
                assert!(reason.contains(why), "{reason}");
            }
            let reason = a.disconnected("b").await;
            assert!(reason.contains(why), "{reason}");
        }
        a.connected("b").await;
    }
}

#[tokio::test]
async fn nobody_enters_without_a_certificate() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut b = Node::with(issued(&authority, "b"), config());
    let rogue = Rogue::anonymous(authority.certificate_pem());
    let connecting = rogue.endpoint.connect(b.address(), "b.shop.dd").unwrap();
    // The client may or may not see its own side of the handshake succeed.
    let _connection = connecting.await;
    assert!(b.refused().await.1.contains("no certificate"));
}

#[tokio::test]
async fn a_development_identity_stays_on_this_machine_unless_allowed() {
    let dev = Identity::dev(&cluster(), &id("a"), "secret").unwrap();
    let everywhere = QuicConfig::new(([0, 0, 0, 0], 0).into());
    let error = QuicTransport::bind(dev.clone(), everywhere.clone()).unwrap_err();
    assert!(
        matches!(error, BindError::DevBeyondLoopback { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("allow_dev_beyond_loopback"),
        "{error}"
    );

    let mut a = QuicTransport::bind(dev.clone(), config()).unwrap();
    let error = a.connect(&id("b"), "192.0.2.1:7400").unwrap_err();
    assert!(
        error.reason.contains("allow_dev_beyond_loopback"),
        "{error}"
    );

    let allowed = dev.allow_dev_beyond_loopback();
    let mut a = QuicTransport::bind(allowed, everywhere).unwrap();
    a.connect(&id("b"), "192.0.2.1:7400").unwrap();
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let dev = Identity::dev(&cluster(), &id("a"), "secret").unwrap();
    assert!(matches!(
        QuicTransport::bind(dev, config()),
        Err(BindError::NoRuntime)
    ));
}

#[tokio::test]
async fn a_lasting_refusal_is_told_once() {
    let (mut a, mut b) = (Node::dev("a"), Node::dev("b"));
    a.dial("c", b.address());
    // The other side sees each attempt.
    for _ in 0..3 {
        b.refused().await;
    }
    a.refused().await;
    b.dial("a", a.address());
    assert_eq!(a.event().await, TransportEvent::Connected { peer: id("b") });
}

/// An authority for several clusters, as a company might have one; made by hand.
pub(crate) struct Common {
    certificate: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Common {
    pub(crate) fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self {
            certificate,
            issuer: rcgen::Issuer::new(params, key),
        }
    }

    fn issue(&self, name: &str) -> (String, String) {
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        (
            params.signed_by(&key, &self.issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    }

    pub(crate) fn identity(&self, name: &str) -> Identity {
        let (certificate, key) = self.issue(name);
        Identity::from_pem(&self.certificate, &certificate, &key).unwrap()
    }
}
