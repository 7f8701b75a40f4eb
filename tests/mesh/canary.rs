//! Secrets and a prompt are sent through everything, by every door, well and badly, to a provider and tools that repeat all
//! that they are shown. Afterwards they are looked for, in every form, wherever something is told or kept.
//!
//! | | may stand in |
//! | --- | --- |
//! | a key, a credential, a lease token | nothing |
//! | a prompt, an answer, a tool's arguments and results | the payloads of the queue, the records and recorded steps of state; the answers and the errors that somebody else's words are passed on in, to who asked |

mod doors;
mod place;
mod story;

use holdfast_testkit::Postgres;

use place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_told_or_kept_and_no_prompt_but_where_it_belongs() {
    let mut place = Place::start("").await;
    story::tell(&mut place).await;
    place.ends().await;
    // Queue and state keep payloads, records and steps: nobody else has files with any of that.
    place.look(&[&place.data()], &["queue.db", "state.db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_where_postgresql_keeps_everything() {
    let mut postgres = Postgres::start().await;
    let mut place = Place::start(&format!("[database]\nurl = {:?}\n", postgres.url())).await;
    story::tell(&mut place).await;
    place.ends().await;
    // What the server holds in memory is in its files then.
    postgres.query("CHECKPOINT").await;
    postgres.kill().await;
    place.look(&[&place.data(), postgres.directory()], &["base", "pg_wal"]);
}
