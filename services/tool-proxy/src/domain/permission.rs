//! Who may use a tool.

use std::collections::BTreeSet;
use std::fmt;

/// On whose behalf a tool is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum User {
    /// An agent at work: its type, as the lease says it. Empty under a lease that did not say it yet.
    Agent(String),
    /// Who looks after the tools, or the mesh itself.
    Operator,
    /// Anybody else, outside of an invocation: the name of the credential.
    Other(String),
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(agent) if agent.is_empty() => f.write_str("an agent that its lease does not name"),
            Self::Agent(agent) => write!(f, "the agent {agent:?}"),
            Self::Operator => f.write_str("an operator"),
            Self::Other(principal) => write!(f, "{principal:?}, who is no agent at work"),
        }
    }
}

/// Whose a tool is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Everybody's who may call tools at all.
    Everybody,
    /// These agents', and the operators'.
    Agents(BTreeSet<String>),
}

impl Permission {
    /// For these agents; for everybody where no list is given.
    pub(crate) fn of(agents: Option<&[String]>) -> Self {
        agents.map_or(Self::Everybody, |agents| Self::Agents(agents.iter().cloned().collect()))
    }

    /// Whether somebody may use the tool.
    pub(crate) fn admits(&self, user: &User) -> bool {
        match (self, user) {
            (Self::Everybody, _) | (Self::Agents(_), User::Operator) => true,
            (Self::Agents(agents), User::Agent(agent)) => agents.contains(agent),
            (Self::Agents(_), User::Other(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_names_agents_is_theirs_and_the_operators_alone() {
        let users = |agents: Option<&[&str]>| {
            let agents: Option<Vec<_>> = agents.map(|agents| agents.iter().map(ToString::to_string).collect());
            let permission = Permission::of(agents.as_deref());
            let users =
                [User::Agent("desk".into()), User::Agent(String::new()), User::Operator, User::Other("w".into())];
            users.map(|user| permission.admits(&user))
        };
        assert_eq!(users(None), [true; 4]);
        assert_eq!(users(Some(&["desk", "mail"])), [true, false, true, false]);
        assert_eq!(users(Some(&["mail"])), [false, false, true, false]);
        assert_eq!(users(Some(&[])), [false, false, true, false]);
    }
}
