use std::net::SocketAddr;
use std::time::Duration;

use holdfast_testkit::{Fault, FaultProxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Answers each byte with the same byte, and tells what it heard.
async fn echo() -> (SocketAddr, mpsc::UnboundedReceiver<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                while let Ok(byte) = stream.read_u8().await {
                    tell.send(byte).ok();
                    stream.write_u8(byte).await.ok();
                }
            });
        }
    });
    (address, heard)
}

async fn ask(stream: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
    stream.write_u8(byte).await?;
    stream.read_u8().await
}

#[tokio::test]
async fn bytes_pass_and_a_cut_ends_present_connections_only() {
    let (target, _heard) = echo().await;
    let proxy = FaultProxy::to(target).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut stream, 7).await.unwrap(), 7);
    proxy.cut();
    assert!(ask(&mut stream, 8).await.is_err());
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut stream, 9).await.unwrap(), 9);
}

#[tokio::test]
async fn a_stalled_line_goes_on_where_it_stopped() {
    let (target, _heard) = echo().await;
    let proxy = FaultProxy::to(target).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut stream, 1).await.unwrap(), 1);
    proxy.set(Fault::Stall);
    stream.write_u8(2).await.unwrap();
    assert!(timeout(Duration::from_millis(50), stream.read_u8()).await.is_err());
    proxy.set(Fault::None);
    assert_eq!(stream.read_u8().await.unwrap(), 2);
}

#[tokio::test]
async fn a_lost_reply_was_heard_by_the_other_side() {
    let (target, mut heard) = echo().await;
    let proxy = FaultProxy::to(target).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.set(Fault::LoseReply);
    assert!(ask(&mut stream, 5).await.is_err());
    assert_eq!(heard.recv().await, Some(5));
}

#[tokio::test]
async fn a_refusing_proxy_lets_nobody_in() {
    let (target, _heard) = echo().await;
    let proxy = FaultProxy::to(target).await;
    proxy.set(Fault::Refuse);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(ask(&mut stream, 5).await.is_err());
}
