//! What a command takes as content: an argument, or standard input.

use std::io::Read as _;

use serde::de::IgnoredAny;

use crate::exit::Failure;

/// The argument, or what standard input has where it is `-`.
pub(super) fn text(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| Failure::Usage(format!("the input cannot be read: {error}")))?;
    Ok(text)
}

/// The same, where it must be JSON.
pub(super) fn json(argument: &str) -> Result<String, Failure> {
    let text = text(argument)?;
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let hint = r#"quote it as one argument, such as '{"customer_id":"C-1001"}'"#;
            Err(Failure::Usage(format!("the input is not JSON: {error}; {hint}")))
        }
    }
}
