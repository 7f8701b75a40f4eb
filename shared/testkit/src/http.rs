use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends a request and gives the answer's status and body, or None where there is no answer. The old protocol's answers
/// end with the connection, which makes this all the client that health, metrics and the simulator's knobs need.
pub(crate) async fn send(port: u16, method: &str, path: &str, json: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let length = json.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{json}"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// A page, where it is answered with 200.
pub(crate) async fn get(port: u16, path: &str) -> Option<String> {
    send(port, "GET", path, "").await.filter(|(status, _)| *status == 200).map(|(_, body)| body)
}
