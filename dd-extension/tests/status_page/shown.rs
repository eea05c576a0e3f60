//! What it shows.

use std::collections::BTreeSet;
use std::time::Duration;

use dd_extension::types::{LwwRegister, OrSet, PnCounter};
use dd_extension::{Authority, CertificateState, Identity, Key};
use serde_json::json;
use tokio::time::timeout;

use crate::{LIMIT, Served};

type Tags = OrSet<String>;

/// Text that would do something if it were taken for HTML.
const MARKUP: &str = "</script><img src=x onerror=alert(1)>&\"'";

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere_and_takes_nothing_for_html() {
    let served = Served::start().await;
    let key = Key::<Tags>::of(MARKUP);
    served
        .store
        .update(&key, |tags| tags.insert(MARKUP))
        .unwrap();
    let page = served.get("/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.headers
            .contains("content-type: text/html; charset=utf-8")
    );
    assert!(
        page.headers
            .contains("content-security-policy: default-src 'none'")
    );
    assert!(page.headers.contains("x-content-type-options: nosniff"));
    assert!(
        !page.body.contains(MARKUP),
        "it is the same for every store"
    );
    let sinks = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
    ];
    for bad in ["http://", "https://", "src=", "@import", "url("]
        .iter()
        .chain(&sinks)
    {
        assert!(!page.body.contains(bad), "{bad}");
    }
    // As JSON it can't be taken for anything else: the type is said, and not guessed.
    let path = "/value.json?key=%3C/script%3E%3Cimg%20src=x%20onerror=alert(1)%3E%26%22'";
    let value = served.json(path).await;
    assert_eq!(value["key"], MARKUP);
    assert_eq!(value["values"][0]["value"], json!([MARKUP]));
}

#[tokio::test]
async fn the_status_says_how_the_store_is_doing() {
    let served = Served::start().await;
    served
        .store
        .update(&Key::<PnCounter>::of("hits"), |hits| hits.add(3))
        .unwrap();
    let status = served.json("/status.json").await;
    assert_eq!(status["node"], "a");
    assert_eq!(status["agreement"], "equal");
    assert_eq!((&status["keys"], &status["events"]), (&json!(1), &json!(1)));
    let [own] = &status["members"].as_array().unwrap()[..] else {
        panic!("{status}");
    };
    assert_eq!((&own["node"], &own["state"]), (&json!("a"), &json!("up")));
    assert_eq!((&own["self"], &own["behind"]), (&json!(true), &json!(0)));
    let address = own["address"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{own}");
    assert!(
        own["started_ms"].as_u64().unwrap() > 1_600_000_000_000,
        "{own}"
    );
    assert_eq!(status["records"]["kept"], 0);
    assert_eq!(status["traffic"][0]["kind"], "hello");
    assert_eq!(status["refusals"], json!([]));
    let valid_until = status["certificate_until_ms"].as_u64().unwrap();
    assert!(valid_until > own["started_ms"].as_u64().unwrap());
    assert_eq!(status["certificate"], "valid");
    // What the page shows of a status is there.
    let page = served.get("/").await.body;
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let shown: BTreeSet<&str> = [" s.", "(s.", "[s.", "{s."]
        .iter()
        .flat_map(|before| page.split(before).skip(1))
        .map(|rest| rest.split(|c| !is_name(c)).next().unwrap_or_default())
        .collect();
    for name in &shown {
        assert!(status.get(name).is_some(), "{name}: {status}");
    }
    for name in ["agreement", "certificate", "certificate_until_ms"] {
        assert!(shown.contains(name), "{name}: {shown:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_has_run_out_is_seen() {
    let authority = Authority::new(&"shop".parse().unwrap()).unwrap();
    let (node, valid) = ("a".parse().unwrap(), Duration::from_secs(3));
    let issued = authority.issue_for(&node, valid).unwrap();
    let (ca, own, key) = (
        authority.certificate_pem(),
        issued.certificate_pem(),
        issued.key_pem(),
    );
    let served = Served::start_as(Identity::from_pem(ca, own, key).unwrap()).await;
    let state = || async { served.json("/status.json").await["certificate"].clone() };
    let over = async {
        while state().await != "over" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, over).await.expect("it does not run out");
    // The page has words for each state that it warns of.
    let page = served.get("/").await.body;
    for state in [CertificateState::EndsSoon, CertificateState::Over] {
        let compared = format!("s.certificate === \"{state}\"");
        assert!(page.contains(&compared), "{compared}");
    }
}

#[tokio::test]
async fn keys_come_in_pages() {
    let served = Served::start().await;
    for n in 0..120 {
        let key = Key::<PnCounter>::of(format!("k/{n:03}"));
        served.store.update(&key, |hits| hits.add(n)).unwrap();
    }
    served
        .store
        .update(&Key::<Tags>::of("other"), |tags| tags.insert("x"))
        .unwrap();
    let (mut after, mut seen, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let page = served
            .json(&format!("/keys.json?prefix=k%2F&after={after}"))
            .await;
        for key in page["keys"].as_array().unwrap() {
            assert_eq!(key["values"][0]["shape"], "pn_counter");
            seen.push(key["key"].as_str().unwrap().to_owned());
        }
        pages += 1;
        match page["next"].as_str() {
            Some(next) => after = next.replace('/', "%2F"),
            None => break,
        }
    }
    let all: Vec<String> = (0..120).map(|n| format!("k/{n:03}")).collect();
    assert_eq!((seen, pages), (all, 3));
    let none = served.json("/keys.json?prefix=nothing").await;
    assert_eq!(none, json!({ "keys": [], "next": null }));
}

#[tokio::test]
async fn a_value_is_shown_whole_by_itself_and_in_part_among_others() {
    let served = Served::start().await;
    let (tags, hits) = (Key::<Tags>::of("k"), Key::<PnCounter>::of("k"));
    served
        .store
        .update(&tags, |tags| {
            for n in 0..5000 {
                tags.insert(format!("{n:04}").as_str());
            }
        })
        .unwrap();
    served.store.update(&hits, |hits| hits.add(7)).unwrap();
    let motd = Key::<LwwRegister<String>>::of("motd");
    served.store.update(&motd, |r| r.set("hello")).unwrap();
    // Two types stand side by side; the larger is cut, and says so.
    let value = served.json("/value.json?key=k").await;
    let [set, counter] = &value["values"].as_array().unwrap()[..] else {
        panic!("{value}");
    };
    assert_eq!(set["value"].as_array().unwrap().len(), 2000);
    assert_eq!(
        (&set["whole"], &set["entries"]),
        (&json!(false), &json!(5000))
    );
    assert_eq!(
        (&counter["value"], &counter["whole"]),
        (&json!(7), &json!(true))
    );
    let glance = served.json("/keys.json?prefix=k").await;
    let shown = glance["keys"][0]["values"][0]["value"].as_array().unwrap();
    assert_eq!(shown.len(), 8);
    assert_eq!(
        served.json("/value.json?key=motd").await["values"][0]["value"],
        "hello"
    );
    let nothing = served.json("/value.json?key=gone").await;
    assert_eq!(nothing["values"], json!([]));
}

#[tokio::test]
async fn a_store_that_was_stopped_has_no_status() {
    let served = Served::start().await;
    served.dd.stop().await.unwrap();
    let answer = served.get("/status.json").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(served.get("/").await.status, 200, "the page says so");
}

#[tokio::test]
async fn a_page_that_is_dropped_is_gone() {
    let Served { page, dd: _dd, .. } = Served::start().await;
    let address = page.local_addr();
    drop(page);
    // The task ends at its next turn.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
