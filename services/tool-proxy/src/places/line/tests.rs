use proptest::prelude::*;

use super::*;

fn shares(concurrency: usize, tenant_concurrency: usize, waiting_max: usize, tenant_waiting_max: usize) -> Shares {
    Shares { concurrency, tenant_concurrency, waiting_max, tenant_waiting_max }
}

/// Takes a place or joins the line; whether it got either.
fn ask(line: &mut Line<String>, tenant: &str) -> bool {
    line.take(tenant).is_some() || line.join(tenant, tenant.to_owned()).is_some()
}

/// Who is called, one after another, while this tenant gives its places back one by one.
fn called(line: &mut Line<String>, frees: &[&str]) -> Vec<String> {
    let mut called = Vec::new();
    for tenant in frees {
        line.release(tenant);
        called.extend(std::iter::from_fn(|| line.grant()));
    }
    called
}

#[test]
fn a_tenant_with_one_call_is_served_next_whatever_stands_before_it() {
    let mut line = Line::new(Shares::of_all(2, 1_000));
    for _ in 0..1_000 {
        assert!(ask(&mut line, "flood"));
    }
    assert!(ask(&mut line, "other"));
    assert_eq!(called(&mut line, &["flood", "flood"]), ["other", "flood"]);
}

#[test]
fn among_equals_turns_go_round() {
    let mut line = Line::new(Shares::of_all(1, 1_000));
    for tenant in ["a", "a", "a", "b", "b", "c", "c"] {
        assert!(ask(&mut line, tenant));
    }
    assert_eq!(called(&mut line, &["a", "a", "b", "c", "a", "b"]), ["a", "b", "c", "a", "b", "c"]);
}

#[test]
fn newcomers_without_end_do_not_keep_a_tenant_waiting() {
    let mut line = Line::new(Shares::of_all(1, 1_000));
    assert!(ask(&mut line, "a") && ask(&mut line, "b"));
    let mut holder = "a".to_owned();
    for number in 0..100 {
        assert!(ask(&mut line, &format!("new-{number}")));
        holder = called(&mut line, &[&holder]).remove(0);
        if holder == "b" {
            assert_eq!(number, 0, "it stood there first");
            return;
        }
    }
    panic!("b was never served");
}

#[test]
fn a_tenants_share_of_places_and_of_the_line_ends_though_there_is_more() {
    let mut line = Line::new(shares(4, 2, 10, 3));
    for count in 0..20 {
        assert_eq!(ask(&mut line, "flood"), count < 5, "two places and three stands");
    }
    assert!(line.take("other").is_some(), "there is a place for another");
    assert!(called(&mut line, &["other"]).is_empty(), "and it stays free for others");
    assert_eq!(called(&mut line, &["flood"]), ["flood"]);
}

#[test]
fn a_full_line_makes_room_until_it_is_even_and_no_further() {
    let mut line = Line::new(Shares::of_all(1, 4));
    for _ in 0..5 {
        assert!(ask(&mut line, "flood"));
    }
    assert!(!ask(&mut line, "flood"), "the line is full");
    assert!(ask(&mut line, "other") && ask(&mut line, "other"));
    assert!(!ask(&mut line, "other"), "both have two stands now");
    assert_eq!(line.waiting, 4);
}

proptest! {
    /// Random comings and goings: the limits hold, no place is free while somebody may have it, who is called has the
    /// fewest places of all who wait, and nobody idle is remembered.
    #[test]
    fn every_limit_holds_and_nothing_is_wasted_or_remembered(
        sizes in (1_usize..5, 1_usize..5, 0_usize..8, 0_usize..8),
        steps in prop::collection::vec((0_u8..3, 0_usize..4, any::<prop::sample::Index>()), 0..200),
    ) {
        let limits = shares(sizes.0, sizes.1.min(sizes.0), sizes.2, sizes.3);
        let mut line: Line<(String, u64)> = Line::new(limits);
        let (mut held, mut stands, mut number) = (Vec::new(), Vec::new(), 0);
        for (step, tenant, pick) in steps {
            let tenant = format!("t{tenant}");
            match step {
                0 => {
                    number += 1;
                    if line.take(&tenant).is_some() {
                        held.push(tenant);
                    } else if let Some((name, ticket)) = line.join(&tenant, (tenant.clone(), number)) {
                        stands.push((name.to_string(), ticket, number));
                    }
                }
                1 if !held.is_empty() => {
                    line.release(&held.swap_remove(pick.index(held.len())));
                    loop {
                        let fewest = line.next.first().map(|(running, ..)| *running);
                        let Some((name, number)) = line.grant() else { break };
                        let had = held.iter().filter(|holder| **holder == name).count();
                        prop_assert_eq!(Some(had), fewest);
                        stands.retain(|(_, _, waiting)| *waiting != number);
                        held.push(name);
                    }
                }
                2 if !stands.is_empty() => {
                    let (name, ticket, _) = stands.swap_remove(pick.index(stands.len()));
                    line.leave(&name, ticket);
                }
                _ => {}
            }
            stands.retain(|(name, ticket, _)| {
                line.tenants.get(name.as_str()).is_some_and(|own| own.waiting.contains_key(ticket))
            });
            prop_assert_eq!((line.running, line.waiting), (held.len(), stands.len()));
            prop_assert!(line.running <= limits.concurrency && line.waiting <= limits.waiting_max);
            for (name, own) in &line.tenants {
                let holds = held.iter().filter(|holder| **holder == **name).count();
                prop_assert_eq!(own.running, holds);
                prop_assert!(own.running <= limits.tenant_concurrency);
                prop_assert!(own.waiting.len() <= limits.tenant_waiting_max);
                prop_assert!(own.running > 0 || !own.waiting.is_empty(), "nobody idle is remembered");
                let may_have_one = !own.waiting.is_empty() && own.running < limits.tenant_concurrency;
                prop_assert!(line.running == limits.concurrency || !may_have_one, "a place is wasted");
                prop_assert_eq!(line.next.contains(&(own.running, own.turn, Arc::clone(name))), may_have_one);
            }
        }
    }
}
