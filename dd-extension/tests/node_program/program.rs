//! A process of the node program, and a conversation with it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Far longer than any answer takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A running program. It ends with the test, however that ends.
pub(crate) struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    /// The line that it begins with.
    pub(crate) first: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dd-node"));
    command.args(arguments).env_remove("RUST_LOG");
    command
}

/// Runs it to its end without input; says whether it succeeded, and its error output.
pub(crate) fn run(arguments: &[&str]) -> (bool, String) {
    let output = command(arguments).stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), errors)
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        // A thread reads, so that the test can give up on a line.
        let (lines, output) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take();
        let mut program = Self {
            child,
            input,
            output,
            first: String::new(),
        };
        program.first = program.line();
        program
    }

    /// The address that it listens at.
    pub(crate) fn address(&self) -> &str {
        self.first.rsplit(' ').next().unwrap()
    }

    pub(crate) fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("not closed yet");
        writeln!(input, "{line}").unwrap();
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        self.output.recv_timeout(LIMIT).expect("no line came")
    }

    /// The next line that does not begin so.
    pub(crate) fn line_but(&mut self, begin: &str) -> String {
        loop {
            let line = self.line();
            if !line.starts_with(begin) {
                return line;
            }
        }
    }

    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.line()
    }

    /// Asks again and again, until the answer is like that.
    pub(crate) fn ask_until(&mut self, line: &str, is_so: impl Fn(&str) -> bool) {
        let begin = Instant::now();
        loop {
            let answer = self.ask(line);
            if is_so(&answer) {
                return;
            }
            assert!(begin.elapsed() < LIMIT, "still {answer}");
        }
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends its input.
    pub(crate) fn close(&mut self) {
        self.input = None;
    }

    /// Waits until it has ended by itself.
    pub(crate) fn end(&mut self) -> ExitStatus {
        // Its output ends with it; what is left of it is passed over.
        loop {
            match self.output.recv_timeout(LIMIT) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end"),
            }
        }
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
