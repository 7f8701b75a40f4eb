use serde_json::Value;

use super::desk::{Arguments, Stop, record, refuse, text};
use super::view::{USERS, View};

pub(super) fn by_email(view: &View, arguments: &Arguments<'_>) -> Result<String, Stop> {
    let email = arguments.text("email")?;
    find(view, |user| text(user, "email").eq_ignore_ascii_case(email))
}

pub(super) fn by_name_zip(view: &View, arguments: &Arguments<'_>) -> Result<String, Stop> {
    let (first, last) = (arguments.text("first_name")?, arguments.text("last_name")?);
    let zip = arguments.text("zip")?;
    find(view, |user| {
        text(&user["name"], "first_name").eq_ignore_ascii_case(first)
            && text(&user["name"], "last_name").eq_ignore_ascii_case(last)
            && text(&user["address"], "zip") == zip
    })
}

fn find(view: &View, wanted: impl Fn(&Value) -> bool) -> Result<String, Stop> {
    match view.all(USERS)?.find(|(_, user)| wanted(user)) {
        Some((id, _)) => Ok(id.to_owned()),
        None => refuse("user not found"),
    }
}

pub(super) fn modify_address(view: &mut View, arguments: &Arguments<'_>) -> Result<String, Stop> {
    let id = arguments.text("user_id")?;
    let mut user = record(view, USERS, id)?;
    user.insert("address".into(), arguments.address()?);
    let user = Value::Object(user);
    view.put(USERS, id, user.clone());
    Ok(user.to_string())
}
