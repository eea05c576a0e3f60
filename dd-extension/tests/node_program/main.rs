//! The node program: what it answers to lines, and how it ends.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod enrolment;
mod program;

use std::io::{Read, Write};

use program::{Program, run};

#[test]
fn every_kind_of_line_is_answered() {
    let mut node = Program::start(&["--dev", "secret", "--node", "a", "--bootstrap"]);
    assert!(node.first.starts_with("ok a of dev listens at 127.0.0.1:"));
    let cases = [
        ("add hits 3", "ok 3"),
        ("add hits -5", "ok -2"),
        ("get hits", "ok pn_counter -2"),
        ("reset hits", "ok done"),
        ("reset hits", "ok there was nothing"),
        ("get hits", "ok nothing"),
        ("insert cart apple", "ok new"),
        ("insert cart apple", "ok was there"),
        ("insert cart red  pear", "ok new"),
        ("remove cart fig", "ok there was nothing"),
        ("get cart", "ok or_set<str> {apple, red  pear}"),
        ("clear cart", "ok done"),
        ("set motd hello world", "ok written"),
        ("get motd", "ok lww_register hello world"),
        ("assign title Draft", "ok written"),
        ("get title", "ok mv_register {Draft}"),
        ("put flags dark-mode on", "ok written"),
        ("unput flags light-mode", "ok there was nothing"),
        ("get flags", "ok lww_map<str> {dark-mode=on}"),
        ("count views home 2", "ok 2"),
        ("count views home 3", "ok 5"),
        ("get views", "ok or_map<str,pn_counter> {home=5}"),
        ("uncount views home", "ok done"),
        ("keys", "ok 3 keys: flags motd title"),
        ("keys m", "ok 1 keys: motd"),
        ("delete motd", "ok done"),
        ("delete motd", "ok there was nothing"),
        ("repeat 100 insert ids id-{i}", "ok 100 times"),
        ("remove ids id-99", "ok done"),
        ("ready", "ok ready"),
        ("confirm", "ok confirmed"),
        ("refresh", "ok refreshed"),
    ];
    for (line, answer) in cases {
        assert_eq!(node.ask(line), answer, "{line}");
    }
    // Two types under one key stand side by side.
    node.ask("add ids 1");
    let both = node.ask("get ids");
    assert!(both.contains(" | pn_counter 1"), "{both}");
    let status = node.ask("status");
    assert!(status.starts_with("ok node=a replica="), "{status}");
    for part in [" keys=3 ", " sent=0 ", " peers= "] {
        assert!(status.contains(part), "{status}");
    }
    assert!(status.ends_with(" conflicts=ids"), "{status}");
    assert_eq!(node.ask("quit"), "ok bye");
    assert!(node.end().success());
}

#[test]
fn lines_write_several_keys_as_one() {
    let mut node = Program::start(&["--dev", "secret", "--node", "a", "--bootstrap"]);
    let cases = [
        ("insert ready job", "ok new"),
        (
            "together remove ready job ; insert taken job ; add made 1",
            "ok done; new; 1",
        ),
        ("get ready", "ok nothing"),
        ("get taken", "ok or_set<str> {job}"),
        // Later ones see what the earlier ones did.
        ("together add made 1 ; add made -3", "ok 2; -1"),
        (
            "repeat 2 together add made 5 ; put by-{i} k v",
            "ok 2 times",
        ),
        ("get made", "ok pn_counter 9"),
        ("get by-1", "ok lww_map<str> {k=v}"),
        (
            "together delete made ; delete by-0 ; delete by-1",
            "ok done; done; done",
        ),
        ("keys", "ok 1 keys: taken"),
    ];
    for (line, answer) in cases {
        assert_eq!(node.ask(line), answer, "{line}");
    }
    // One that is refused refuses all.
    let long = "k".repeat(1025);
    let answer = node.ask(&format!("together delete taken ; insert {long} job"));
    assert_eq!(answer, "error a key of 1025 bytes; keys have 1 to 1024");
    assert_eq!(node.ask("get taken"), "ok or_set<str> {job}");
}

#[test]
fn lines_say_when_keys_end() {
    let mut node = Program::start(&["--dev", "secret", "--node", "a", "--bootstrap"]);
    let cases = [
        ("insert cart apple", "ok new"),
        ("deadline cart", "ok none"),
        ("expire cart 600", "ok ends in 600 s"),
    ];
    for (line, answer) in cases {
        assert_eq!(node.ask(line), answer, "{line}");
    }
    let said = node.ask("deadline cart");
    let left = said
        .strip_prefix("ok in ")
        .and_then(|left| left.strip_suffix(" s"));
    let left: f64 = left.expect(&said).parse().unwrap();
    assert!((0.0..=600.0).contains(&left), "{said}");
    let cases = [
        ("expire cart never", "ok does not end"),
        ("deadline cart", "ok none"),
        ("expire nothing 5", "ok there was nothing"),
        (
            "together set token secret ; expire token 0",
            "ok written; ends in 0 s",
        ),
        ("expire-idle session/ 60", "ok done"),
        ("expire-idle session/ never", "ok done"),
    ];
    for (line, answer) in cases {
        assert_eq!(node.ask(line), answer, "{line}");
    }
    // From its end on, and not only when it is deleted.
    node.ask_until("get token", |token| token == "ok nothing");
    assert_eq!(node.ask("get cart"), "ok or_set<str> {apple}");
    let answer = node.ask("expire-idle session/ 0");
    assert!(
        answer.starts_with("error ") && answer.contains("take 1s or more"),
        "{answer}"
    );
}

/// A node that finds out soon that another is gone.
fn fast(name: &str, more: &[&str]) -> Program {
    let dev = ["--dev", "secret", "--node", name, "--probe", "50"];
    Program::start(&[&dev[..], more].concat())
}

#[test]
fn a_key_of_a_node_goes_with_it() {
    let mut a = fast("a", &["--bootstrap"]);
    let seed = a.address().to_owned();
    let mut b = fast("b", &["--seed", &seed]);
    assert_eq!(b.ask("ready"), "ok ready");
    assert_eq!(b.ask("own session/ web"), "ok session/b/web");
    assert_eq!(b.ask("insert session/b/web ann"), "ok new");
    assert_eq!(b.ask("insert cart apple"), "ok new");
    a.ask_until("get session/b/web", |key| key == "ok or_set<str> {ann}");
    a.ask_until("get cart", |key| key == "ok or_set<str> {apple}");
    b.kill();
    a.ask_until("get session/b/web", |key| key == "ok nothing");
    assert_eq!(a.ask("get cart"), "ok or_set<str> {apple}");
    let answer = a.ask(&format!("own {} web", "p".repeat(256)));
    assert!(
        answer.starts_with("error a family of keys with a prefix of 256 bytes"),
        "{answer}"
    );
}

#[test]
fn errors_say_how_a_line_should_look() {
    let mut node = Program::start(&["--dev", "secret", "--node", "a", "--bootstrap"]);
    let cases = [
        ("add hits three", "add hits 3"),
        ("add hits", "add hits 3"),
        ("insert", "insert cart-42 apple"),
        ("delete cart now", "delete cart-42"),
        ("put flags dark-mode", "put flags dark-mode on"),
        ("repeat many add hits 1", "repeat 1000 insert ids id-{i}"),
        ("repeat 2 add hits", "add hits 3"),
        ("expire cart", "expire cart-42 60"),
        ("expire cart soon", "expire cart-42 60"),
        ("expire-idle cart-", "expire-idle cart- 60"),
        ("deadline", "deadline cart-42"),
        ("own session/", "own session/ web"),
        ("together add hits 1", "together add hits 1 ; reset old"),
        (
            "together add hits 1 ; get hits",
            "together add hits 1 ; reset old",
        ),
        ("together add hits 1 ; add hits", "add hits 3"),
        ("insret cart apple", "insert cart-42 apple"),
    ];
    for (line, usage) in cases {
        let answer = node.ask(line);
        assert!(answer.starts_with("error "), "{line}: {answer}");
        let end = format!("; a line looks like: {usage}");
        assert!(answer.ends_with(&end), "{line}: {answer}");
    }
    let long = "k".repeat(1025);
    for line in [format!("add {long} 1"), format!("get {long}")] {
        let answer = node.ask(&line);
        assert_eq!(answer, "error a key of 1025 bytes; keys have 1 to 1024");
    }
    // After an error it goes on, and nothing was written.
    assert_eq!(node.ask("keys"), "ok 0 keys: ");
    // Empty lines and comments have no answer.
    node.say("");
    node.say("# a comment");
    assert_eq!(node.ask("add hits 1"), "ok 1");
    // Each line of the help is one that works.
    node.say("help");
    let mut usages = Vec::new();
    let end = loop {
        let line = node.line();
        if line.starts_with("ok") {
            break line;
        }
        usages.push(line);
    };
    assert_eq!(end, format!("ok {} commands", usages.len()));
    assert!(usages.iter().any(|line| line.contains("add hits 3")));
    node.close();
    assert!(node.end().success());
}

#[test]
fn lines_of_a_file_run_first_and_the_end_of_the_input_stops() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "# a comment\nadd hits 3\n\nadd hits 4\nwatch hits").unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let mut node = Program::start(&[
        "--dev",
        "secret",
        "--node",
        "a",
        "--bootstrap",
        "--file",
        &path,
    ]);
    assert_eq!(node.line(), "ok 3");
    assert_eq!(node.line(), "ok 7");
    assert_eq!(node.line(), "ok watching hits");
    node.close();
    assert!(node.end().success());

    // `quit` in the file ends it before standard input is read.
    writeln!(file, "quit\nadd hits 1").unwrap();
    let mut node = Program::start(&[
        "--dev",
        "secret",
        "--node",
        "a",
        "--bootstrap",
        "--file",
        &path,
    ]);
    for _ in 0..3 {
        node.line();
    }
    assert_eq!(node.line_but("change "), "ok bye");
    assert!(node.end().success());
}

#[test]
fn a_watched_key_prints_what_another_node_does() {
    let mut a = Program::start(&["--dev", "secret", "--node", "a", "--bootstrap"]);
    let seed = a.address().to_owned();
    let mut b = Program::start(&["--dev", "secret", "--node", "b", "--seed", &seed]);
    assert_eq!(b.ask("ready"), "ok ready");
    assert_eq!(b.ask("watch cart"), "ok watching cart");
    assert_eq!(b.ask("watch cart"), "ok watched already");
    assert_eq!(a.ask("insert cart apple"), "ok new");
    assert_eq!(b.line(), "change cart or_set<str> {apple}");
    assert_eq!(a.ask("delete cart"), "ok done");
    assert_eq!(b.line(), "change cart nothing");
    assert_eq!(b.ask("unwatch cart"), "ok cart");
    assert_eq!(b.ask("unwatch cart"), "ok was not watched");
    // The end of the input hands over what was written last.
    assert_eq!(b.ask("watch hits"), "ok watching hits");
    a.say("add hits 5");
    a.close();
    assert!(a.end().success());
    assert_eq!(b.line(), "change hits pn_counter 5");
}

#[test]
fn members_leave_and_are_removed() {
    let mut a = fast("a", &["--bootstrap"]);
    let seed = a.address().to_owned();
    let mut b = fast("b", &["--seed", &seed]);
    let mut c = fast("c", &["--seed", &seed]);
    let both_up = |status: &str| status.contains(" peers=b:up:equal,c:up:equal ");
    a.ask_until("status", both_up);
    let members = a.ask("members");
    assert!(
        members.starts_with(&format!("ok 3 members: a up {seed}; b up 127.0.0.1:")),
        "{members}"
    );
    assert_eq!(c.ask("leave"), "ok left");
    assert!(c.end().success());
    a.ask_until("status", |status| {
        status.contains(" peers=b:up:equal,c:left ")
    });
    b.kill();
    a.ask_until("members", |members| members.contains("; b down "));
    assert_eq!(a.ask("add hits 1"), "ok 1");
    a.ask_until("status", |status| {
        status.contains("b:down:away-behind-1,c:left ")
    });
    // A member that is down counts; what was written stands.
    let answer = a.ask("confirm");
    assert!(
        answer.starts_with("error 2 of 2 nodes are needed, ")
            && answer.ends_with("; what was written here stands and goes on spreading, and reads see what this node has"),
        "{answer}"
    );
    assert_eq!(a.ask("get hits"), "ok pn_counter 1");
    assert_eq!(a.ask("remove-member b"), "ok removed b");
    assert_eq!(a.ask("confirm"), "ok confirmed");
    a.ask_until("status", |status| {
        status.contains(" peers=b:removed,c:left ")
    });
    for (line, why) in [
        ("remove-member b", "removed already"),
        ("remove-member a", "`leave` leaves"),
        ("remove-member d", "no member"),
        ("remove-member D!", "can't name a node"),
    ] {
        let answer = a.ask(line);
        assert!(
            answer.starts_with("error ") && answer.contains(why),
            "{answer}"
        );
    }
}

#[test]
fn a_status_page_is_served_where_it_is_told() {
    let mut a = Program::start(&["--dev", "secret", "--node", "a", "--bootstrap"]);
    let seed = a.address().to_owned();
    let dev = ["--dev", "secret", "--node", "b", "--seed", &seed];
    let mut b = Program::start(&[&dev[..], &["--status", "127.0.0.1:0"]].concat());
    let page = b.line();
    assert!(page.starts_with("page http://127.0.0.1:"), "{page}");
    let address = page
        .trim_start_matches("page http://")
        .trim_end_matches('/');
    assert_eq!(b.ask("ready"), "ok ready");
    assert_eq!(a.ask("add hits 3"), "ok 3");
    let status = get_until(address, |status| {
        status["keys"] == 1 && status["agreement"] == "equal"
    });
    let member = &status["members"][0];
    assert_eq!(
        (&member["node"], &member["state"]),
        (&"a".into(), &"up".into())
    );
    assert_eq!(member["address"], seed.as_str());
    assert!(member["round_trip_ms"].as_f64().unwrap() > 0.0, "{member}");
    // Nobody else can have the address, and that is said.
    let (success, stderr) = run(&[
        "--dev",
        "s",
        "--node",
        "c",
        "--bootstrap",
        "--status",
        address,
    ]);
    assert!(
        !success && stderr.contains("the status page at"),
        "{stderr}"
    );
}

/// The status at an address, once it is like that.
fn get_until(address: &str, is_so: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let begin = std::time::Instant::now();
    loop {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let request = format!("GET /status.json HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let status = serde_json::from_str(body).unwrap();
        if is_so(&status) {
            return status;
        }
        assert!(begin.elapsed().as_secs() < 60, "still {status}");
    }
}

#[test]
fn the_help_says_which_logs_there_are() {
    let mut node = Program::start(&["--help"]);
    while !node.line().contains("RUST_LOG=info") {}
    assert!(node.end().success());
}

#[test]
fn wrong_arguments_are_said_and_are_a_failure() {
    let cases: [(&[&str], &str); 9] = [
        (
            &[
                "--dev",
                "s",
                "--node",
                "a",
                "--bootstrap",
                "--status",
                "8080",
            ],
            "invalid socket address",
        ),
        (&["--dev", "s", "--node", "a"], "--bootstrap"),
        (
            &[
                "--dev",
                "s",
                "--node",
                "a",
                "--peer",
                "b=127.0.0.1:1",
                "--seed",
                "127.0.0.1:2",
            ],
            "--seed",
        ),
        (&[], "--dev SECRET --node NAME"),
        (&["--dev", "secret"], "--node"),
        (
            &["--dev", "secret", "--node", "No Name"],
            "can't name a node",
        ),
        (
            &["--dev", "s", "--node", "a", "--peer", "b"],
            "b=127.0.0.1:7401",
        ),
        (
            &[
                "--dev",
                "s",
                "--node",
                "a",
                "--bootstrap",
                "--listen",
                "0.0.0.0:0",
            ],
            "a development identity must not listen on",
        ),
        (
            &[
                "--dev",
                "s",
                "--node",
                "a",
                "--bootstrap",
                "--file",
                "/no/such/file",
            ],
            "/no/such/file",
        ),
    ];
    for (arguments, said) in cases {
        let (success, stderr) = run(arguments);
        assert!(!success, "{arguments:?}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}
