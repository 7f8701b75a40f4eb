//! Whoever ends a server for us when we end, however that may be.

use std::io;
use std::process::Stdio;

use tokio::process::{Child, Command};

/// A shell that waits for the end of its input, which comes with ours, and then asks the process to end.
const WAIT: &str = r#"read -r _; kill -INT "$1" 2>/dev/null"#;

/// Watches over a process until it is dropped.
pub(super) fn of(process: u32) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", WAIT, "sh", &process.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // What Ctrl-C says to us it does not hear.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[tokio::test]
    async fn a_process_ends_when_its_warden_is_left_alone() {
        let mut server = Command::new("sleep").arg("600").kill_on_drop(true).spawn().expect("it starts");
        let mut warden = of(server.id().expect("it runs")).expect("it starts");
        // As it is when we are killed: the pipe closes, and nobody kills the warden.
        drop(warden.stdin.take());
        let ended = server.wait().await.expect("it can be waited for");
        assert_eq!(ended.signal(), Some(2), "it was asked to end");
        warden.wait().await.expect("it has nothing else to do");
    }
}
