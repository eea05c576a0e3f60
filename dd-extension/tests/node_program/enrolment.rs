//! Nodes that get their certificates by token.

use std::time::Duration;

use dd_extension::{Authority, TokenOptions};

use crate::program::{Program, run};

#[test]
fn pods_with_random_names_join_with_a_token_and_an_address() {
    let authority = Authority::new(&"shop".parse().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = authority.to_pem();
    let (certificate, key) = (file("ca.pem", &certificate), file("ca.key", &key));
    let token = |names: &str, valid_for: Duration| {
        let options = TokenOptions::new(names.parse().unwrap()).valid_for(valid_for);
        authority.token(options).unwrap().as_str().to_owned()
    };
    let minute = Duration::from_secs(60);
    let pods = token("pod-*", minute);

    let own = ["--authority", &certificate, &key, "--node", "a"];
    let serves = ["--bootstrap", "--enrolment", "127.0.0.1:0"];
    let mut a = Program::start(&[&own[..], &serves].concat());
    assert!(a.first.starts_with("ok a of shop listens at "));
    let seed = a.address().to_owned();
    let said = a.line();
    let service = said.strip_prefix("enrolment ").unwrap().to_owned();

    let enrol =
        |token: &str| ["--enrol", &service, "--token", token, "--seed", &seed].map(str::to_owned);
    let arguments = enrol(&pods);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut one = Program::start(&arguments);
    let with_file = ["--token-file", &file("token", &pods), "--node", "pod-x"].map(str::to_owned);
    let other = ["--enrol", &service, "--seed", &seed];
    let with_file: Vec<&str> = with_file.iter().map(String::as_str).collect();
    let mut other = Program::start(&[&other[..], &with_file].concat());
    assert!(one.first.starts_with("ok pod-"), "{}", one.first);
    assert!(other.first.starts_with("ok pod-x of shop "));
    other.ask_until("members", |members| {
        members.starts_with("ok 3 members: a up ") && members.matches(" up ").count() == 3
    });
    assert_eq!(one.ask("add hits 3"), "ok 3");
    other.ask_until("get hits", |hits| hits == "ok pn_counter 3");

    // A certificate is taken anew while the node runs; not by token, under a name that is up.
    let renewed = a.ask("renew");
    assert!(renewed.starts_with("ok valid for "), "{renewed}");
    let refused = other.ask("renew");
    assert!(
        refused.starts_with("error ") && refused.contains("pod-x is up"),
        "{refused}"
    );

    // Nor under a name that is made up anew: it is not even asked for.
    let refused = one.ask("renew");
    assert!(
        refused.starts_with("error ") && refused.contains("restart it with a new token"),
        "{refused}"
    );

    // What is refused says why, and what to do.
    let mut chars: Vec<char> = pods.chars().collect();
    let at = chars.len() - 20;
    chars[at] = if chars[at] == 'A' { 'B' } else { 'A' };
    let cases = [
        (
            enrol(&chars.iter().collect::<String>()).to_vec(),
            "was changed on its way",
        ),
        (enrol(&token("*", Duration::ZERO)).to_vec(), "has expired"),
        (enrol("ddjoin_").to_vec(), "this is no token"),
        (
            [&enrol(&pods)[..], &["--node".to_owned(), "b".to_owned()]].concat(),
            "good for pod-*",
        ),
        (
            [
                &enrol(&pods)[..],
                &["--node".to_owned(), "pod-x".to_owned()],
            ]
            .concat(),
            "pod-x is up",
        ),
    ];
    for (arguments, why) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (success, stderr) = run(&arguments);
        assert!(!success && stderr.contains(why), "{why}: {stderr}");
    }
    // One for a single name is good for once, also when its node is gone.
    let once = enrol(&token("b", minute));
    let once: Vec<&str> = once.iter().map(String::as_str).collect();
    let mut b = Program::start(&once);
    assert!(b.first.starts_with("ok b of shop "));
    assert_eq!(b.ask("leave"), "ok left");
    assert!(b.end().success());
    let (success, stderr) = run(&once);
    assert!(!success && stderr.contains("used already"), "{stderr}");
}
