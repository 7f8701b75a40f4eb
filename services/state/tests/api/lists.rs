use holdfast_proto::state::v1 as pb;
use holdfast_rpc::status;

use crate::harness::*;

fn list(prefix: &str, page_size: u32, page_token: &str) -> pb::ListRequest {
    pb::ListRequest {
        namespace: "accounts".into(),
        partition: "C-1".into(),
        key_prefix: prefix.into(),
        page_size,
        page_token: page_token.into(),
    }
}

fn keys(response: &pb::ListResponse) -> Vec<String> {
    response.records.iter().map(|record| record.address.as_ref().unwrap().key.clone()).collect()
}

#[tokio::test]
async fn a_partition_is_listed_page_by_page_without_gap_or_repeat() {
    let state = Harness::start().await;
    for n in 0..25 {
        state.make(&format!("k{n:02}"), "1").await;
    }
    state.make("other", "1").await;
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let page = state.list(list("k", 10, &token)).await.unwrap();
        seen.extend(keys(&page));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, (0..25).map(|n| format!("k{n:02}")).collect::<Vec<_>>());
    assert_eq!(keys(&state.list(list("", 0, "k24")).await.unwrap()), ["other"]);
}

#[tokio::test]
async fn a_list_shows_every_write_acknowledged_before_it() {
    let state = Harness::start().await;
    let mut at = state.put(cached(put("k", "0", None))).await.unwrap().version;
    for n in 1..50 {
        at = state.put(cached(put("k", &n.to_string(), Some(&at)))).await.unwrap().version;
        let page = state.list(list("", 0, "")).await.unwrap();
        assert_eq!(data(&page.records[0]), n.to_string());
        assert_eq!(page.records[0].version, at);
    }
}

#[tokio::test]
async fn what_a_list_shows_every_read_shows() {
    let state = Harness::start().await;
    let mut at = state.make("k", "0").await;
    let writer = async {
        for n in 1..100 {
            at = state.put(put("k", &n.to_string(), Some(&at))).await.unwrap().version.into();
        }
    };
    let reader = async {
        for _ in 0..100 {
            let listed = state.list(list("", 0, "")).await.unwrap().records[0].revision;
            assert!(state.get("k").await.unwrap().revision >= listed);
        }
    };
    tokio::join!(writer, reader);
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes() {
    let state = Harness::start().await;
    let large = "x".repeat(900 << 10);
    for key in ["a", "b", "c", "d"] {
        state.make(key, &large).await;
    }
    let page = state.list(list("", 0, "")).await.unwrap();
    assert_eq!((keys(&page).len(), page.next_page_token.as_str()), (3, "c"));
    assert_eq!(keys(&state.list(list("", 0, "c")).await.unwrap()), ["d"]);
}

#[tokio::test]
async fn too_large_a_page_is_refused() {
    let state = Harness::start().await;
    let refused = state.list(list("", 1_001, "")).await.unwrap_err();
    assert_eq!(status::field(&refused).as_deref(), Some("page_size"));
}
