use rmcp::transport::streamable_http_client::StreamableHttpClient as _;

use super::*;

const SECRET: &str = "canary-4711";

fn web(url: &str) -> Web {
    let client = Client::builder().tls_certs_only([]).build().expect("a client");
    Web { client, url: url.into(), headers: HashMap::new(), answer_bytes_max: 1 }
}

#[tokio::test]
async fn a_url_with_a_secret_is_in_no_error() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = format!("http://127.0.0.1:1/mcp?key={SECRET}");
    for greeting in [Greeting::Discover, Greeting::Initialize] {
        let unmet = web(&url).connect(greeting).await.expect_err("nobody is there");
        assert!(unmet.nobody && !unmet.why.contains(SECRET), "{}", unmet.why);
    }
    let asking = Asking { client: web(&url).client, bell: Bell::default(), bytes_max: 1 };
    let stream = asking.get_stream(url.as_str().into(), Some("s".into()), None, None, HashMap::new()).await;
    let error = stream.err().expect("nobody is there");
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
}
