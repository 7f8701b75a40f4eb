//! A PostgreSQL: one's own cluster, which a password opens, and which listens on loopback only.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::server::Server;
use crate::error::Error;

/// Who owns everything in it.
pub(super) const USER: &str = "holdfast";
/// The line of its own file in which it says how far it is, counted from 0.
const STATUS_LINE: usize = 7;

/// Makes its files.
pub(super) async fn make(server: &Server, maker: &Path) -> Result<(), Error> {
    let machine = |error: std::io::Error| Error::Machine(format!("a PostgreSQL cannot be made: {error}"));
    let password = server.folder.join("password");
    let mut file = fs::OpenOptions::new();
    let file = file.write(true).create(true).truncate(true).mode(0o600).open(&password).map_err(machine)?;
    std::io::Write::write_all(&mut &file, server.password.as_bytes()).map_err(machine)?;
    server.found.give(&password).map_err(machine)?;
    let mut initdb = server.found.command(maker);
    initdb.arg("--pgdata").arg(server.data()).arg("--pwfile").arg(&password);
    initdb.args(["--auth", "scram-sha-256", "--username", USER, "--encoding", "UTF8", "--no-locale", "--no-sync"]);
    let made = initdb.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(machine)?;
    // It is in the cluster now.
    fs::remove_file(&password).map_err(machine)?;
    if made.status.success() {
        return Ok(());
    }
    Err(Error::Machine(format!("a PostgreSQL cannot be made: {}", String::from_utf8_lossy(&made.stderr))))
}

/// Starts it in the foreground.
pub(super) fn command(server: &Server) -> Command {
    let mut command = server.found.command(&server.found.server);
    command.arg("-D").arg(server.data()).arg("-p").arg(server.port.to_string());
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"] {
        command.args(["-c", setting]);
    }
    command
}

/// Whether this process of it takes connections: what one before it wrote says nothing.
pub(super) fn is_ready(server: &Server, process: u32) -> bool {
    let text = fs::read_to_string(server.data().join("postmaster.pid")).unwrap_or_default();
    says_ready(&text, process)
}

fn says_ready(text: &str, process: u32) -> bool {
    let is_its = text.lines().next().is_some_and(|line| line.trim() == process.to_string());
    is_its && text.lines().nth(STATUS_LINE).is_some_and(|line| line.trim() == "ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_process_that_runs_says_that_it_is_ready() {
        let text = |status| format!("7\n/data\n1700000000\n5432\n\n127.0.0.1\n 12 34\n{status}\n");
        assert!(says_ready(&text("ready   "), 7));
        assert!(!says_ready(&text("ready   "), 8), "another one wrote that");
        assert!(!says_ready(&text("starting"), 7) && !says_ready("7\n/data\n", 7) && !says_ready("", 7));
    }
}
