use super::super::Failure;

/// The most tool calls that one answer may have.
const CALLS_MAX: usize = 1_024;

/// Tells the tool calls of a stream apart. By the protocol each has a number, and names id and tool once; some providers give
/// no numbers, all the same one, or repeat the names with every part.
#[derive(Debug, Default)]
pub(super) struct Calls {
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    number: Option<u32>,
    id: String,
    named: bool,
}

impl Calls {
    /// Which call of the answer a part belongs to, and of the names what is new.
    ///
    /// # Errors
    /// They are too many.
    pub(super) fn place(
        &mut self,
        number: Option<u32>,
        id: String,
        name: String,
    ) -> Result<(u32, String, String), Failure> {
        let same = |seen: &Seen| match number {
            Some(number) => seen.number == Some(number) && (id.is_empty() || seen.id.is_empty() || seen.id == id),
            None => id.is_empty() || seen.id == id,
        };
        let at = match self.seen.iter().rposition(same) {
            Some(at) => at,
            None if self.seen.len() >= CALLS_MAX => {
                return Err(Failure::Broken { how: "asked for more tools than an answer may" });
            }
            None => {
                self.seen.push(Seen { number, id: String::new(), named: false });
                self.seen.len() - 1
            }
        };
        let seen = &mut self.seen[at];
        let id = if seen.id.is_empty() { id } else { String::new() };
        let name = if seen.named { String::new() } else { name };
        seen.id.push_str(&id);
        seen.named |= !name.is_empty();
        Ok((at as u32, id, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of the parts; a star marks those that name their call.
    fn places(parts: &[(Option<u32>, &str)]) -> String {
        let mut calls = Calls::default();
        let place = |(number, id): &(Option<u32>, &str)| {
            let (at, id, _) = calls.place(*number, (*id).into(), String::new()).expect("few");
            format!("{at}{}", if id.is_empty() { "" } else { "*" })
        };
        parts.iter().map(place).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn calls_are_told_apart_by_number() {
        let parts = [(Some(0), "a"), (Some(0), ""), (Some(1), "b"), (Some(0), ""), (Some(1), "")];
        assert_eq!(places(&parts), "0* 0 1* 0 1");
    }

    #[test]
    fn calls_without_numbers_are_told_apart_by_their_ids() {
        assert_eq!(places(&[(None, "a"), (None, ""), (None, "b"), (None, "b"), (None, "a")]), "0* 0 1* 1 0");
        assert_eq!(places(&[(None, ""), (None, "")]), "0 0");
    }

    #[test]
    fn calls_that_all_have_the_same_number_are_told_apart_by_their_ids() {
        assert_eq!(places(&[(Some(0), "a"), (Some(0), "b"), (Some(0), ""), (Some(0), "a")]), "0* 1* 1 0");
    }

    #[test]
    fn names_are_said_once_however_often_they_come() {
        let mut calls = Calls::default();
        let mut place = |id: &str, name: &str| calls.place(Some(0), id.into(), name.into()).expect("few");
        assert_eq!(place("", ""), (0, String::new(), String::new()));
        assert_eq!(place("a", "look"), (0, "a".into(), "look".into()));
        assert_eq!(place("a", "look"), (0, String::new(), String::new()));
    }

    #[test]
    fn calls_are_bounded() {
        let mut calls = Calls::default();
        let mut place = |number| calls.place(Some(number), String::new(), String::new());
        for number in 0..CALLS_MAX as u32 {
            place(number).expect("few");
        }
        assert!(place(7).is_ok());
        assert!(place(u32::MAX).is_err());
    }
}
