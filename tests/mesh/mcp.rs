//! A client that speaks MCP, at the mesh as it runs: by the tool-proxy's own door and through the gateway.

use holdfast_config::Peer;
use holdfast_testkit::{Collector, Mesh, ReceivedSpan};
use holdfast_tests::traces::{CALLER, TRACE};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One message, one answer.
async fn ask(mesh: &Mesh, peer: Peer, message: &Value) -> Value {
    let (address, body) = (mesh.address(peer), message.to_string());
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mcp_client_calls_by_either_door_and_its_trace_goes_on_to_the_tool() {
    let collector = Collector::start().await;
    let peers = [Peer::Gateway, Peer::Queue, Peer::State, Peer::ToolProxy, Peer::Simulator];
    let mesh = Mesh::builder().only(&peers).env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    let mut mesh = mesh.start().await;
    let doors = [Peer::ToolProxy, Peer::Gateway];

    for door in doors {
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        let tools = ask(&mesh, door, &list).await;
        assert_eq!(tools["result"]["tools"][0]["name"], "lookup_customer", "{tools}");
        let meta = json!({"traceparent": format!("00-{TRACE}-{CALLER}-01")});
        let params = json!({"name": "lookup_customer", "arguments": {"customer_id": "C-1001"}, "_meta": meta});
        let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params});
        let answer = ask(&mesh, door, &call).await;
        assert_eq!(answer["result"]["_meta"]["holdfast/outcome"], "real", "{answer}");
    }

    for peer in doors {
        mesh.drain(peer).await;
    }
    let spans: Vec<_> = collector.spans().into_iter().filter(|span| span.trace_id == TRACE).collect();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<&ReceivedSpan>>();
    let (calls, tools) = (named("tools/call lookup_customer"), named("execute_tool lookup_customer"));
    assert_eq!((calls.len(), tools.len()), (2, 2), "{spans:?}");
    assert!(calls.iter().all(|call| call.parent_id == CALLER), "the client's own span is the parent");
    assert!(tools.iter().all(|tool| calls.iter().any(|call| call.span_id == tool.parent_id)), "{spans:?}");
}
