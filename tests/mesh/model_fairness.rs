//! One tenant's flood in front of a model, and the calls of nine others who come after it. `tests/prove model_fairness`
//! measures shares and waits.

use std::time::Duration;

use futures::future::join_all;
use holdfast_config::Peer;
use holdfast_testkit::Mesh;
use holdfast_tests::llm::{Ask, Caller, calls, key_of, until};
use tokio::time::interval;

const CONFIG: &str = r#"
[providers.narrow]
kind = "openai"
base_url = "simulator:/v1"
keys = [{ name = "narrow", concurrency = 1 }]

[models.narrow]
deployments = [{ provider = "narrow", model = "simulated-model" }]

[simulator]
keys.narrow = { concurrency = 1 }
"#;

const FLOOD: &str = "flood";
const OF_FLOOD: usize = 100;
const NORMAL: usize = 9;
const OF_EACH: usize = 3;

fn tenants() -> Vec<String> {
    (1..=NORMAL).map(|number| format!("normal_{number}")).chain([FLOOD.to_owned()]).collect()
}

async fn mesh() -> Mesh {
    let mut mesh = Mesh::builder().only(&[Peer::Gateway, Peer::LlmProxy, Peer::Simulator]);
    let mut config = CONFIG.to_owned();
    for (settings, variable, secret) in tenants().iter().map(|tenant| key_of(tenant)) {
        config += &settings;
        mesh = mesh.env(&variable, secret);
    }
    let mesh = mesh.config(config).start().await;
    // The first call holds the only place until its caller goes away.
    mesh.http(Peer::Simulator, "PUT", "/admin/faults", r#"{"hang_rate": 1.0, "times": 1}"#).await;
    mesh
}

fn ask(tenant: &str) -> Ask {
    let deadline = Duration::from_secs(120);
    let (model, mark) = ("narrow".into(), tenant.to_owned());
    Ask { model, mark, prompt: "hello".into(), output_tokens: 10, max_output_tokens: 10, deadline, ..Ask::default() }
}

/// Waits until so many calls are in line.
async fn in_line(mesh: &Mesh, wanted: usize) {
    let mut looks = interval(Duration::from_millis(10));
    loop {
        looks.tick().await;
        let metrics = mesh.metrics(Peer::LlmProxy).await;
        let lines = metrics.lines().filter(|line| line.starts_with("holdfast_llm_waiting{"));
        let waiting: f64 = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        if waiting as usize == wanted {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_after_a_flood_takes_turns_with_it() {
    let mesh = mesh().await;
    let caller = Caller::at(&mesh, Peer::Gateway);
    let of = |tenant: &str| caller.with_key(&key_of(tenant).2);
    let first = tokio::spawn(of(FLOOD).call(&ask(FLOOD)));
    until(&mesh, |counts| counts.key("narrow").in_flight == 1).await;
    let mut waiting: Vec<_> = (0..OF_FLOOD).map(|_| tokio::spawn(of(FLOOD).call(&ask(FLOOD)))).collect();
    in_line(&mesh, OF_FLOOD).await;
    for tenant in tenants().iter().take(NORMAL) {
        waiting.extend((0..OF_EACH).map(|_| tokio::spawn(of(tenant).call(&ask(tenant)))));
    }
    in_line(&mesh, OF_FLOOD + NORMAL * OF_EACH).await;
    first.abort();
    for answer in join_all(waiting).await {
        let answer = answer.expect("a call does not panic");
        assert!(answer.is_real(), "{:?}", answer.outcome);
    }

    let served: Vec<String> = calls(&mesh, "narrow").await.into_iter().skip(1).map(|call| call.mark).collect();
    assert_eq!(served.len(), OF_FLOOD + NORMAL * OF_EACH);
    let last = served.iter().rposition(|tenant| tenant != FLOOD).expect("they were served");
    let before = served[..last].iter().filter(|tenant| *tenant == FLOOD).count();
    assert!(before <= OF_EACH + 1, "a tenth of the turns is the flood's, and it had {before}: {served:?}");
    for round in 1..OF_EACH {
        let so_far = &served[..round * (NORMAL + 1) + 2];
        let least = tenants().iter().map(|tenant| so_far.iter().filter(|served| *served == tenant).count()).min();
        assert!(least >= Some(round - 1), "everybody had {round} turns, nearly: {so_far:?}");
    }
}
