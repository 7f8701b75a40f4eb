//! A Redis as state wants it: nothing is evicted, what it took stands in its log.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::server::Server;

/// More than its answer is.
const ANSWER_BYTES: u64 = 512;
/// One that hangs is asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Writes its configuration; the password stands in it, and not among arguments that everybody sees.
pub(super) fn configure(server: &Server) -> io::Result<()> {
    let text = format!(
        "bind 127.0.0.1\nport {}\ndir \"{}\"\nrequirepass {}\nappendonly yes\nsave \"\"\nmaxmemory-policy noeviction\n",
        server.port,
        server.data().display(),
        server.password
    );
    let mut file = fs::OpenOptions::new();
    let file = file.write(true).create(true).truncate(true).mode(0o600).open(configuration(&server.folder))?;
    io::Write::write_all(&mut &file, text.as_bytes())
}

/// Where that is.
pub(super) fn configuration(folder: &Path) -> PathBuf {
    folder.join("redis.conf")
}

/// Whether it answers, and has read all that it had.
pub(super) async fn is_ready(server: &Server) -> bool {
    let said = timeout(ANSWER_WITHIN, said(server)).await;
    said.is_ok_and(|said| said.is_ok_and(|said| said == "+OK\r\n+PONG\r\n+OK\r\n"))
}

async fn said(server: &Server) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await?;
    stream.write_all(format!("AUTH {}\r\nPING\r\nQUIT\r\n", server.password).as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
