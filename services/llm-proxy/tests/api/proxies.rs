//! Proxies that the environment names.

use std::path::Path;

use holdfast_simulator::Limits;

use crate::{
    harness::{PATIENCE, provider, say_within},
    process::Proxy,
    tls::secured,
};

fn toml(base_url: &str, directory: &Path) -> String {
    let key = directory.join("key");
    std::fs::write(&key, "simulated\n").expect("the test's directory can be written");
    let key = key.display();
    format!(
        "[providers.p]\nkind = \"openai\"\nbase_url = \"{base_url}\"\n\
         keys = [{{ name = \"main\", key = \"file:{key}\" }}]\n\
         [models.m]\ndeployments = [{{ provider = \"p\", model = \"simulated-model\" }}]\n"
    )
}

/// A proxy that nobody runs, by each name that a client may look at.
const NOWHERE: [(&str, &str); 3] =
    [("HTTP_PROXY", "http://127.0.0.1:9"), ("http_proxy", "http://127.0.0.1:9"), ("ALL_PROXY", "http://127.0.0.1:9")];

#[tokio::test]
async fn what_is_on_this_machine_is_asked_past_the_proxy() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let provider = provider(&[("simulated", Limits::default())]).await;
    for base_url in ["simulator:/v1".to_owned(), format!("{}/v1", provider.url())] {
        let toml = toml(&base_url, directory.path());
        let proxy = Proxy::start_under(directory.path(), &provider, &toml, &NOWHERE).await;
        say_within(&proxy.client, "hi", PATIENCE).await.unwrap_or_else(|status| panic!("{base_url}: {status}"));
        proxy.kill().await;
    }
}

#[tokio::test]
async fn a_provider_out_there_is_asked_through_the_proxy() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // It takes a proxy's requests too, and answers them itself: the name beyond it leads nowhere.
    let provider = provider(&[("simulated", Limits::default())]).await;
    let url = provider.url();
    let environment = [("HTTP_PROXY", url.as_str()), ("http_proxy", url.as_str())];
    let toml = toml("http://provider.invalid/v1", directory.path());
    let proxy = Proxy::start_under(directory.path(), &provider, &toml, &environment).await;
    let answer = say_within(&proxy.client, "hi", PATIENCE).await.expect("through the proxy");
    assert_eq!(answer.deployment, "p/simulated-model");
}

#[tokio::test]
async fn a_provider_without_tls_is_asked_through_a_proxy_with_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (url, pem, stop) = secured(directory.path(), "localhost").await;
    let trusted = directory.path().join("trusted.pem");
    std::fs::write(&trusted, pem).expect("the certificate is written");
    let (url, trusted) = (url.trim_end_matches("/v1"), trusted.display().to_string());
    let environment = [("HTTP_PROXY", url), ("http_proxy", url), ("SSL_CERT_FILE", &*trusted)];
    let toml = toml("http://provider.invalid/v1", directory.path());
    let nobody = provider(&[]).await;
    let proxy = Proxy::start_under(directory.path(), &nobody, &toml, &environment).await;
    let answer = say_within(&proxy.client, "hi", PATIENCE).await.expect("through the proxy");
    assert_eq!(answer.deployment, "p/simulated-model");
    stop.cancel();
}
