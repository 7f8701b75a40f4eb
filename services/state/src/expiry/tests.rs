use holdfast_rpc::time::now_micros;

use super::*;
use crate::{
    decider::model::Model,
    domain::{Partition, Value},
    store::{Changes, ChangesQuery, HistoryQuery},
};

fn partition() -> Partition {
    Partition::new("acme", "accounts", "C-1").expect("names")
}

async fn put(model: &Arc<Model>, key: &str, expires: Option<Micros>) {
    let value = Some(Value { data: "x".into(), content_type: "".into() });
    let address = partition().record(key);
    let command = Command {
        writes: vec![Write { address, precondition: Precondition::Overwrite, value, expires }],
        guard: None,
        write_id: None,
        invocation_id: "".into(),
        durability: Durability::Durable,
        now: 0,
    };
    model.write(&command, None).await.expect("nothing speaks against it");
}

async fn is_there(model: &Arc<Model>, key: &str) -> bool {
    let found = model.get(&[partition().record(key)]).await.expect("the stores are there");
    found.into_iter().flatten().any(|edition| edition.is_live())
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_gone_within_about_a_second_and_the_rest_stays() {
    let model = Model::new();
    let now = now_micros();
    put(&model, "over", Some(now - 1)).await;
    put(&model, "later", Some(now + 3_600_000_000)).await;
    put(&model, "for ever", None).await;
    let stop = Stop::new();
    let duty = tokio::spawn(run(Arc::clone(&model) as _, stop.clone()));
    sleep(Duration::from_secs(1)).await;
    assert!(!is_there(&model, "over").await);
    assert!(is_there(&model, "later").await && is_there(&model, "for ever").await);
    stop.cancel();
    duty.await.expect("it ends when it is told to");
}

#[tokio::test(start_paused = true)]
async fn an_expiry_is_a_write_that_history_and_watches_show() {
    let model = Model::new();
    put(&model, "over", Some(1)).await;
    let decider: Arc<dyn Decider> = Arc::clone(&model) as _;
    assert_eq!(all(&decider, 2).await.unwrap(), 1);
    let address = partition().record("over");
    let history = model.history(HistoryQuery { address, before: None, editions: 10, bytes: 1 << 20 }).await.unwrap();
    assert_eq!(history.iter().map(|edition| edition.is_live()).collect::<Vec<_>>(), [false, true]);
    let query = ChangesQuery { partition: partition(), after: Some(0), rows: 10, bytes: 1 << 20 };
    let Changes::Here { changes, .. } = model.changes(query).await.unwrap() else { panic!("nothing is cut") };
    assert_eq!(changes.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn several_processes_delete_each_record_once() {
    let model = Model::new();
    for n in 0..1_200 {
        put(&model, &n.to_string(), Some(1)).await;
    }
    let duty = |model: Arc<Model>| async move { all(&(model as Arc<dyn Decider>), 2).await.expect("no trouble") };
    let (a, b, c) = tokio::join!(duty(model.another()), duty(model.another()), duty(model.another()));
    let left = duty(Arc::clone(&model)).await;
    assert_eq!(a + b + c + left, 1_200);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_written_again_in_the_meantime_stays() {
    let model = Model::new();
    put(&model, "a", Some(1)).await;
    let decider: Arc<dyn Decider> = Arc::clone(&model) as _;
    let found = decider.expired(2, 10).await.unwrap();
    put(&model, "a", None).await;
    assert_eq!(delete(&decider, found, 2).await.unwrap(), 0);
    assert!(is_there(&model, "a").await);
}
