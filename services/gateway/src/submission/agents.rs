//! Which agent types may be asked for.

use std::collections::BTreeSet;
use std::fmt;

/// The agent types that this gateway takes work for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Agents {
    /// Any that can be one: work for a type that nobody runs waits until somebody does.
    Any,
    /// Those of `[agents.*]` and `[gateway] extra_agents`: a typo is refused at once.
    Declared(BTreeSet<String>),
}

impl Agents {
    /// Lets a name pass, or says which would.
    pub(crate) fn admit(&self, name: &str) -> Result<(), UnknownAgent> {
        match self {
            Self::Any => Ok(()),
            Self::Declared(known) if known.contains(name) => Ok(()),
            Self::Declared(known) => {
                Err(UnknownAgent { name: name.to_owned(), known: known.iter().cloned().collect() })
            }
        }
    }
}

/// An agent type that is not declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownAgent {
    name: String,
    known: Vec<String>,
}

/// Names listed at most, so that a mesh of a thousand agents does not answer with all of them.
const NAMES_MAX: usize = 20;

impl fmt::Display for UnknownAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent {:?} (declared: ", self.name)?;
        match self.known.as_slice() {
            [] => f.write_str("none")?,
            known => f.write_str(&known[..known.len().min(NAMES_MAX)].join(", "))?,
        }
        if self.known.len() > NAMES_MAX {
            write!(f, " and {} more", self.known.len() - NAMES_MAX)?;
        }
        f.write_str("; for a worker of your own add its name to extra_agents in [gateway], or set agents = \"any\")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_refused_with_the_names_that_exist_and_the_way_out() {
        let agents = Agents::Declared(["disputes".to_owned(), "echo".to_owned()].into());
        assert_eq!(agents.admit("disputes"), Ok(()));
        let refusal = agents.admit("dispute").expect_err("it is not declared").to_string();
        for part in ["\"dispute\"", "disputes, echo", "extra_agents", "agents = \"any\""] {
            assert!(refusal.contains(part), "{refusal}");
        }
    }

    #[test]
    fn any_agent_passes_where_any_is_said() {
        assert_eq!(Agents::Any.admit("whatever"), Ok(()));
    }

    #[test]
    fn a_long_list_is_cut() {
        let agents = Agents::Declared((0..100).map(|number| format!("agent-{number:03}")).collect());
        let refusal = agents.admit("x").expect_err("it is not declared").to_string();
        assert!(refusal.contains("and 80 more") && !refusal.contains("agent-020"), "{refusal}");
    }
}
