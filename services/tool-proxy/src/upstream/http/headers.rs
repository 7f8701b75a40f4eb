//! The headers of every request to a tool, secrets among them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::form::Wrong;
use crate::config::Tool;
use crate::egress;

/// The headers of a tool; an error names the key and why, and repeats no secret.
pub(crate) fn headers(tool: &Tool) -> Result<HeaderMap, Wrong> {
    let accepted = match tool.content_types.as_slice() {
        [] => "application/json, text/*;q=0.9".to_owned(),
        some => some.join(", "),
    };
    // Without the second, any encoding would be welcome.
    let (_, accepted) = header("content_types", ACCEPT.as_str(), &accepted)?;
    let identity = HeaderValue::from_static("identity");
    let mut headers = HeaderMap::from_iter([(ACCEPT, accepted), (ACCEPT_ENCODING, identity)]);
    for (name, value) in &tool.headers {
        let (name, value) = header("headers", name, value)?;
        headers.insert(name, value);
    }
    for (name, secret) in &tool.secret_headers {
        let (name, value) = hidden("secret_headers", name, secret.reveal())?;
        headers.insert(name, value);
    }
    if let Some((key, text)) = authorization(tool)? {
        let (name, value) = hidden(key, AUTHORIZATION.as_str(), &text)?;
        if headers.insert(name, value).is_some() {
            return Err((key.into(), "and a header \"authorization\" cannot both be set".into()));
        }
    }
    Ok(headers)
}

fn authorization(tool: &Tool) -> Result<Option<(&'static str, String)>, Wrong> {
    match (&tool.bearer, &tool.basic) {
        (Some(_), Some(_)) => Err(("basic".into(), "and bearer cannot both be set".into())),
        (Some(secret), None) => Ok(Some(("bearer", format!("Bearer {}", secret.reveal())))),
        (None, Some(basic)) if basic.user.contains(':') => {
            Err(("basic.user".into(), "must not contain \":\", which ends it".into()))
        }
        (None, Some(basic)) => {
            let pair = STANDARD.encode(format!("{}:{}", basic.user, basic.password.reveal()));
            Ok(Some(("basic", format!("Basic {pair}"))))
        }
        (None, None) => Ok(None),
    }
}

fn hidden(key: &str, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Wrong> {
    let (name, mut value) = header(key, name, value)?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn header(key: &str, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Wrong> {
    let wrong = |why: &str| (key.to_owned(), format!("{name:?} {why}"));
    let value = value.parse().map_err(|_| wrong("has a value that a header cannot carry"))?;
    let name: HeaderName = name.parse().map_err(|_| wrong("is not the name of a header"))?;
    if egress::is_reserved(&name) || name == ACCEPT_ENCODING {
        return Err(wrong("is not yours to set: it belongs to the connection"));
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use holdfast_config::Secret;

    use super::*;
    use crate::config::Basic;

    fn bearer() -> Tool {
        Tool { bearer: Some(Secret::in_memory("canary")), ..Tool::default() }
    }

    #[test]
    fn no_secret_is_printed() {
        let secret_headers = [("x-key".to_owned(), Secret::in_memory("canary"))].into();
        let tool = Tool { secret_headers, ..bearer() };
        let headers = headers(&tool).expect("they hold");
        assert!(!format!("{headers:?}{tool:?}").contains("canary"));
        assert_eq!(headers[AUTHORIZATION], "Bearer canary");
        assert_eq!(headers["x-key"], "canary");
    }

    #[test]
    fn a_user_and_a_password_are_sent_together() {
        let basic = |user: &str| Tool {
            basic: Some(Basic { user: user.into(), password: Secret::in_memory("open sesame") }),
            ..Tool::default()
        };
        // Source: <https://www.rfc-editor.org/rfc/rfc7617#section-2>
        let headers = headers(&basic("Aladdin")).expect("they hold");
        assert_eq!(headers[AUTHORIZATION], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{headers:?}{:?}", basic("Aladdin")).contains("sesame"));
        assert_eq!(super::headers(&basic("a:b")).expect_err("two colons").0, "basic.user");
    }

    #[test]
    fn a_header_that_cannot_be_is_refused_by_its_key_and_no_secret_is_repeated() {
        let sly = || Secret::in_memory("canary\r\nx-admin: true");
        let named = |name: &str| [(name.to_owned(), "v".to_owned())].into();
        let cases = [
            ("bearer", Tool { bearer: Some(sly()), ..Tool::default() }),
            ("secret_headers", Tool { secret_headers: [("x".to_owned(), sly())].into(), ..Tool::default() }),
            ("bearer", Tool { headers: named("Authorization"), ..bearer() }),
            ("basic", Tool { basic: Some(Basic { user: "u".into(), password: sly() }), ..bearer() }),
            ("headers", Tool { headers: named("Transfer-Encoding"), ..Tool::default() }),
            ("headers", Tool { headers: named("a b"), ..Tool::default() }),
        ];
        for (key, tool) in cases {
            let (named, why) = headers(&tool).expect_err(key);
            assert_eq!(named, key, "{why}");
            assert!(!why.contains("canary"), "{why}");
        }
    }
}
