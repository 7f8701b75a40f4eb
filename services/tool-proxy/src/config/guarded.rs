//! How a tool's users share it, who they are, and what of their calls may be seen. An error names the key and why.

use holdfast_telemetry::redaction::Redaction;

use super::Tool;
use crate::domain::Permission;
use crate::places::Shares;

type Wrong = (String, String);

impl Tool {
    /// Its places and its line, and how much of both one tenant may have.
    pub(crate) fn shares(&self) -> Result<Shares, Wrong> {
        let share = |key: &str, share: Option<usize>, whole: usize, least: usize| match share {
            Some(share) if share < least => Err((key.to_owned(), "must be at least 1".to_owned())),
            Some(share) if share > whole => {
                Err((key.to_owned(), format!("is more than the tool has for all: {whole}")))
            }
            share => Ok(share.unwrap_or(whole)),
        };
        Ok(Shares {
            concurrency: self.concurrency,
            tenant_concurrency: share("tenant_concurrency", self.tenant_concurrency, self.concurrency, 1)?,
            waiting_max: self.waiting_max,
            tenant_waiting_max: share("tenant_waiting_max", self.tenant_waiting_max, self.waiting_max, 0)?,
        })
    }

    /// Who may use it.
    pub(crate) fn permission(&self) -> Result<Permission, Wrong> {
        if self.agents.iter().flatten().any(String::is_empty) {
            return Err(("agents".into(), "has an agent without a name".into()));
        }
        Ok(Permission::of(self.agents.as_deref()))
    }

    /// What of arguments and results may stand in traces; `None` is nothing.
    pub(crate) fn traced(&self) -> Result<Option<Redaction>, Wrong> {
        let redaction = Redaction::of(&self.redact).map_err(|why| ("redact".to_owned(), why))?;
        Ok(self.trace_content.then_some(redaction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong<T>(result: Result<T, Wrong>) -> String {
        result.map(drop).expect_err("it does not hold").0
    }

    #[test]
    fn without_a_share_one_tenant_may_have_it_all() {
        let shares = Tool::default().shares().expect("it holds");
        assert_eq!((shares.tenant_concurrency, shares.tenant_waiting_max), (shares.concurrency, shares.waiting_max));
    }

    #[test]
    fn a_share_is_at_least_one_place_and_no_more_than_there_is() {
        for share in [0, 17] {
            assert_eq!(
                wrong(Tool { tenant_concurrency: Some(share), ..Tool::default() }.shares()),
                "tenant_concurrency"
            );
        }
        assert_eq!(wrong(Tool { tenant_waiting_max: Some(1_001), ..Tool::default() }.shares()), "tenant_waiting_max");
        Tool { tenant_waiting_max: Some(0), ..Tool::default() }.shares().expect("nobody need wait");
    }

    #[test]
    fn content_is_seen_only_where_it_is_asked_for() {
        assert_eq!(Tool::default().traced().expect("it holds"), None);
        Tool { trace_content: true, ..Tool::default() }.traced().expect("it holds").expect("it is asked for");
        assert_eq!(wrong(Tool { redact: vec!["/~".into()], ..Tool::default() }.traced()), "redact");
        assert_eq!(wrong(Tool { agents: Some(vec![String::new()]), ..Tool::default() }.permission()), "agents");
    }
}
