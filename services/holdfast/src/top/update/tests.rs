use super::super::event::Event;
use super::super::stage::{ID, Stage, invocation, looked};
use super::*;

fn view(stage: &Stage) -> View {
    stage.state.view
}

#[test]
fn views_are_reached_by_number_and_one_after_the_other() {
    let mut stage = Stage::well();
    stage.keys(&[Key::View(3)]);
    assert_eq!(view(&stage), View::Circuits);
    stage.keys(&[Key::NextView, Key::NextView, Key::PreviousView]);
    assert_eq!(view(&stage), View::Models);
    stage.keys(&[Key::View(0), Key::PreviousView]);
    assert_eq!(view(&stage), View::Invocations);
    stage.keys(&[Key::NextView, Key::View(20)]);
    assert_eq!(view(&stage), View::All, "a number without a view is no view");
    stage.keys(&[Key::Quit]);
    assert!(stage.state.over);
}

#[test]
fn the_help_is_closed_by_any_key_which_then_does_nothing_else() {
    let mut stage = Stage::well();
    stage.keys(&[Key::Help]);
    assert!(stage.state.help);
    stage.keys(&[Key::NextView]);
    assert!(!stage.state.help && view(&stage) == View::All);
}

#[test]
fn a_chosen_row_stays_chosen_while_rows_move() {
    let mut stage = Stage::well();
    stage.keys(&[Key::View(2), Key::Down]);
    assert_eq!(stage.state.chosen(Pane::Agents), Some((1, "mail".into())));
    stage.depths(&[("disputes", 3, 2), ("mail", 9, 1)]);
    assert_eq!(stage.state.chosen(Pane::Agents), Some((0, "mail".into())), "it is the deepest now, and still chosen");
    stage.keys(&[Key::Last, Key::Down, Key::Down]);
    assert_eq!(stage.state.chosen(Pane::Agents), Some((1, "disputes".into())), "there is nothing below the last");
    stage.keys(&[Key::First, Key::PageUp]);
    assert_eq!(stage.state.chosen(Pane::Agents), Some((0, "mail".into())));
}

#[test]
fn the_order_goes_through_all_columns_and_back_to_as_it_comes() {
    let mut stage = Stage::well();
    stage.keys(&[Key::View(2)]);
    let first = |stage: &Stage| Pane::Agents.table(&stage.state).rows[0].id.clone();
    assert_eq!(first(&stage), "disputes", "the deepest first");
    stage.keys(&[Key::Reverse]);
    assert_eq!(first(&stage), "mail");
    let columns = Pane::Agents.table(&stage.state).columns.len();
    for _ in 0..columns {
        stage.keys(&[Key::Sort]);
    }
    assert_eq!(stage.state.list(Pane::Agents).sort, 0, "round again, over the order in which they come");
}

#[test]
fn an_agent_type_leads_to_its_invocations_and_they_to_what_is_inside() {
    let mut stage = Stage::well();
    assert_eq!(stage.state.wanted(), super::super::state::Wanted::default(), "nothing is listed for nobody");
    stage.keys(&[Key::View(2), Key::Into]);
    let listing = Listing { agent: "disputes".into(), state: None };
    assert_eq!((view(&stage), &stage.state.listing), (View::Invocations, &listing));
    assert_eq!(stage.state.wanted().listing, Some(listing));

    stage.invocations(vec![invocation(ID, "disputes", InvocationState::Leased)]);
    stage.keys(&[Key::Into]);
    assert_eq!(stage.state.wanted().invocation.as_deref(), Some(ID));
    stage.told(Report::Looked { id: "another".into(), answer: Ok(Box::default()) });
    assert!(stage.state.known.looked.get().is_none(), "an answer about another one is none about this one");
    stage.told(Report::Looked { id: ID.into(), answer: Ok(Box::new(looked())) });

    stage.keys(&[Key::Last, Key::Into]);
    let (content, line) = stage.state.reading().expect("a step is read");
    assert!(content.contains("\"deployment\": \"openai/gpt\"") && line == 0, "{content}");
    stage.keys(&[Key::Down, Key::Down, Key::Up]);
    assert_eq!(stage.state.reading().map(|(_, line)| line), Some(1));
    stage.keys(&[Key::Back]);
    assert!(stage.state.reading().is_none() && stage.state.inside.is_some());
    stage.keys(&[Key::Back]);
    assert!(stage.state.inside.is_none() && stage.state.listing.agent == "disputes");
    stage.keys(&[Key::Back]);
    assert_eq!(stage.state.listing, Listing::default());
}

#[test]
fn another_filter_forgets_what_the_one_before_has_shown() {
    let mut stage = Stage::well();
    stage.keys(&[Key::View(7)]);
    let before = stage.state.listing.clone();
    stage.invocations(vec![invocation(ID, "mail", InvocationState::Dead)]);
    stage.keys(&[Key::Filter]);
    assert_eq!(stage.state.listing.state, Some(InvocationState::Queued));
    assert!(stage.state.known.invocations.get().is_none());
    stage
        .told(Report::Invocations { listing: before, answer: Ok(vec![invocation(ID, "mail", InvocationState::Dead)]) });
    assert!(stage.state.known.invocations.get().is_none(), "a late answer to the question before");
    stage.keys(&[Key::Filter; 6]);
    assert_eq!(stage.state.listing, Listing::default());
}

#[test]
fn an_agent_type_whose_work_is_done_is_still_there_with_none() {
    let mut stage = Stage::well();
    stage.depths(&[("mail", 0, 1)]);
    let agents = super::super::figures::agents(&stage.state.known);
    let disputes = agents.iter().find(|agent| agent.name == "disputes").expect("it had work");
    assert_eq!((disputes.queued, disputes.leased), (Some(0), Some(0)));
}

#[test]
fn what_was_known_stays_while_the_mesh_is_lost_and_the_first_answer_ends_the_trouble() {
    let mut stage = Stage::well();
    stage.lose();
    stage.pass(12);
    stage.lose();
    assert!(stage.state.gateway_is_lost());
    let depths = &stage.state.known.depths;
    assert_eq!(depths.get().map(Vec::len), Some(2));
    assert_eq!(depths.for_how_long(stage.state.now).as_secs(), 12, "since the first time, not the last");
    stage.depths(&[("mail", 1, 1)]);
    stage.told(Report::Health { process: 0, answer: Ok(super::super::known::Health::Serving) });
    assert!(!stage.state.gateway_is_lost() && stage.state.known.depths.trouble().is_none());
    stage.event(Event::Clock(0));
}
