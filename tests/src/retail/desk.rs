use serde_json::{Map, Value};

use super::view::{Missing, ORDERS, PRODUCTS, USERS, View};
use super::{arithmetic, orders, users};

/// Why a tool does not go on.
pub(super) enum Stop {
    /// It must see more.
    Missing(Missing),
    /// It refuses; the text follows "Error: ".
    Refused(String),
}

impl From<Missing> for Stop {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

pub(super) fn refuse<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Refused(why.into()))
}

/// Whether a tool may change records.
pub fn changes_records(tool: &str) -> bool {
    ["cancel_", "exchange_", "modify_", "return_"].iter().any(|verb| tool.starts_with(verb))
}

/// What a tool answers, and in the view what it changes. A refusal is an answer too, and changes nothing.
///
/// # Errors
/// What the view lacks: learn it and ask again. Nothing is changed until then.
pub fn apply(tool: &str, arguments: &Value, view: &mut View) -> Result<String, Missing> {
    match answer(tool, &Arguments(arguments), view) {
        Ok(answer) => Ok(answer),
        Err(Stop::Refused(why)) => Ok(format!("Error: {why}")),
        Err(Stop::Missing(missing)) => Err(missing),
    }
}

fn answer(tool: &str, arguments: &Arguments<'_>, view: &mut View) -> Result<String, Stop> {
    match tool {
        "calculate" => arithmetic::calculate(arguments.text("expression")?).map_err(Stop::Refused),
        "think" => Ok(String::new()),
        "transfer_to_human_agents" => Ok("Transfer successful".into()),
        "list_all_product_types" => product_types(view),
        "get_product_details" => details(view, PRODUCTS, arguments.text("product_id")?),
        "get_order_details" => details(view, ORDERS, arguments.text("order_id")?),
        "get_user_details" => details(view, USERS, arguments.text("user_id")?),
        "find_user_id_by_email" => users::by_email(view, arguments),
        "find_user_id_by_name_zip" => users::by_name_zip(view, arguments),
        "modify_user_address" => users::modify_address(view, arguments),
        "cancel_pending_order" => orders::cancel(view, arguments),
        "modify_pending_order_address" => orders::modify_address(view, arguments),
        "modify_pending_order_payment" => orders::modify_payment(view, arguments),
        "modify_pending_order_items" => orders::modify_items(view, arguments),
        "exchange_delivered_order_items" => orders::exchange_items(view, arguments),
        "return_delivered_order_items" => orders::return_items(view, arguments),
        other => refuse(format!("there is no tool {other}")),
    }
}

/// A record as a tool works on it.
pub(super) type Record = Map<String, Value>;

/// A record that must be there.
pub(super) fn record(view: &View, kind: &'static str, id: &str) -> Result<Record, Stop> {
    match view.get(kind, id)? {
        Some(Value::Object(record)) => Ok(record.clone()),
        _ => refuse(format!("{} not found", kind.trim_end_matches('s'))),
    }
}

fn details(view: &View, kind: &'static str, id: &str) -> Result<String, Stop> {
    Ok(Value::Object(record(view, kind, id)?).to_string())
}

fn product_types(view: &View) -> Result<String, Stop> {
    let types = view.all(PRODUCTS)?.map(|(id, product)| (text(product, "name").to_owned(), Value::from(id)));
    Ok(Value::Object(types.collect()).to_string())
}

/// A text inside a record; empty where there is none.
pub(super) fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_default()
}

/// A tool's arguments. The tool-proxy has checked them against the schema; what is missing all the same is refused.
pub(super) struct Arguments<'a>(&'a Value);

impl<'a> Arguments<'a> {
    pub(super) fn text(&self, name: &str) -> Result<&'a str, Stop> {
        self.0[name].as_str().map_or_else(|| refuse(format!("{name} is missing")), Ok)
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a str>, Stop> {
        let all = self.0[name].as_array().map(|list| list.iter().filter_map(Value::as_str).collect());
        all.map_or_else(|| refuse(format!("{name} is missing")), Ok)
    }

    /// The six arguments that are an address.
    pub(super) fn address(&self) -> Result<Value, Stop> {
        let fields = ["address1", "address2", "city", "state", "country", "zip"];
        let address: Result<Record, Stop> =
            fields.into_iter().map(|field| Ok((field.to_owned(), self.text(field)?.into()))).collect();
        Ok(Value::Object(address?))
    }
}
