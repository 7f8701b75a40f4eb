use serde_json::{Value, json};

use super::arithmetic::to_cents;
use super::desk::{Arguments, Record, Stop, record, refuse, text};
use super::view::{ORDERS, PRODUCTS, USERS, View};

pub(super) fn cancel(view: &mut View, arguments: &Arguments<'_>) -> Result<String, Stop> {
    let (id, reason) = (arguments.text("order_id")?, arguments.text("reason")?);
    let mut order = in_status(view, id, "pending", "non-pending order cannot be cancelled")?;
    if !["no longer needed", "ordered by mistake"].contains(&reason) {
        return refuse("invalid reason");
    }
    let mut wallet = Wallet::of(view, &order)?;
    let payments = history(&order).clone();
    for payment in &payments {
        let method = text(payment, "payment_method_id");
        let amount = payment["amount"].as_f64().unwrap_or_default();
        pay(&mut order, "refund", amount, method);
        wallet.add(method, amount);
    }
    order.insert("status".into(), "cancelled".into());
    order.insert("cancel_reason".into(), reason.into());
    wallet.put(view);
    put(view, id, order)
}

pub(super) fn modify_address(view: &mut View, arguments: &Arguments<'_>) -> Result<String, Stop> {
    let id = arguments.text("order_id")?;
    let mut order = in_status(view, id, "pending", "non-pending order cannot be modified")?;
    order.insert("address".into(), arguments.address()?);
    put(view, id, order)
}

pub(super) fn modify_payment(view: &mut View, arguments: &Arguments<'_>) -> Result<String, Stop> {
    let (id, method) = (arguments.text("order_id")?, arguments.text("payment_method_id")?);
    let mut order = in_status(view, id, "pending", "non-pending order cannot be modified")?;
    let mut wallet = Wallet::of(view, &order)?;
    wallet.must_have(method)?;
    let [payment] = &history(&order)[..] else {
        return refuse("there should be exactly one payment for a pending order");
    };
    let former = text(payment, "payment_method_id").to_owned();
    if former == method {
        return refuse("the new payment method should be different from the current one");
    }
    let amount = payment["amount"].as_f64().unwrap_or_default();
    if !wallet.covers(method, amount) {
        return refuse("insufficient gift card balance to pay for the order");
    }
    pay(&mut order, "payment", amount, method);
    pay(&mut order, "refund", amount, &former);
    wallet.add(method, -amount);
    wallet.add(&former, amount);
    wallet.put(view);
    put(view, id, order)
}

pub(super) fn modify_items(view: &mut View, arguments: &Arguments<'_>) -> Result<String, Stop> {
    let (id, method) = (arguments.text("order_id")?, arguments.text("payment_method_id")?);
    let mut order = in_status(view, id, "pending", "non-pending order cannot be modified")?;
    let swap = Swap::of(view, &order, arguments)?;
    let mut wallet = Wallet::of(view, &order)?;
    wallet.must_have(method)?;
    if !wallet.covers(method, swap.difference) {
        return refuse("insufficient gift card balance to pay for the new item");
    }
    let kind = if swap.difference > 0.0 { "payment" } else { "refund" };
    pay(&mut order, kind, swap.difference.abs(), method);
    wallet.add(method, -swap.difference);
    swap.replace(&mut order);
    order.insert("status".into(), "pending (item modified)".into());
    wallet.put(view);
    put(view, id, order)
}

pub(super) fn exchange_items(view: &mut View, arguments: &Arguments<'_>) -> Result<String, Stop> {
    let (id, method) = (arguments.text("order_id")?, arguments.text("payment_method_id")?);
    let mut order = in_status(view, id, "delivered", "non-delivered order cannot be exchanged")?;
    let difference = to_cents(Swap::of(view, &order, arguments)?.difference);
    let wallet = Wallet::of(view, &order)?;
    wallet.must_have(method)?;
    if !wallet.covers(method, difference) {
        return refuse("insufficient gift card balance to pay for the price difference");
    }
    order.insert("status".into(), "exchange requested".into());
    order.insert("exchange_items".into(), sorted(arguments.texts("item_ids")?));
    order.insert("exchange_new_items".into(), sorted(arguments.texts("new_item_ids")?));
    order.insert("exchange_payment_method_id".into(), method.into());
    order.insert("exchange_price_difference".into(), difference.into());
    put(view, id, order)
}

pub(super) fn return_items(view: &mut View, arguments: &Arguments<'_>) -> Result<String, Stop> {
    let (id, method) = (arguments.text("order_id")?, arguments.text("payment_method_id")?);
    let mut order = in_status(view, id, "delivered", "non-delivered order cannot be returned")?;
    Wallet::of(view, &order)?.must_have(method)?;
    let original = history(&order).first().map(|payment| text(payment, "payment_method_id"));
    if !is_gift_card(method) && original != Some(method) {
        return refuse("payment method should be either the original payment method or a gift card");
    }
    let returned = arguments.texts("item_ids")?;
    if first_absent(&order, &returned).is_some() {
        return refuse("some item not found");
    }
    order.insert("status".into(), "return requested".into());
    order.insert("return_items".into(), sorted(returned));
    order.insert("return_payment_method_id".into(), method.into());
    put(view, id, order)
}

fn in_status(view: &View, id: &str, status: &str, otherwise: &str) -> Result<Record, Stop> {
    let order = record(view, ORDERS, id)?;
    if order.get("status").and_then(Value::as_str) == Some(status) { Ok(order) } else { refuse(otherwise) }
}

fn put(view: &mut View, id: &str, order: Record) -> Result<String, Stop> {
    let order = Value::Object(order);
    view.put(ORDERS, id, order.clone());
    Ok(order.to_string())
}

fn list<'a>(order: &'a Record, field: &str) -> &'a Vec<Value> {
    const EMPTY: &Vec<Value> = &Vec::new();
    order.get(field).and_then(Value::as_array).unwrap_or(EMPTY)
}

fn history(order: &Record) -> &Vec<Value> {
    list(order, "payment_history")
}

fn pay(order: &mut Record, kind: &str, amount: f64, method: &str) {
    let entry = json!({"transaction_type": kind, "amount": amount, "payment_method_id": method});
    if let Some(Value::Array(history)) = order.get_mut("payment_history") {
        history.push(entry);
    }
}

fn sorted(mut ids: Vec<&str>) -> Value {
    ids.sort_unstable();
    ids.into()
}

/// The first id that is named more often than the order has it.
fn first_absent<'a>(order: &Record, ids: &[&'a str]) -> Option<&'a str> {
    let ordered = |id: &str| list(order, "items").iter().filter(|item| text(item, "item_id") == id).count();
    ids.iter().find(|id| ids.iter().filter(|other| other == id).count() > ordered(id)).copied()
}

/// Items to be swapped for others of the same product.
struct Swap {
    /// The index in the order, and the variant that takes its place.
    items: Vec<(usize, Value)>,
    /// As the sum comes out: the recorded tool rounds it where it promises a price, not where it books one.
    difference: f64,
}

impl Swap {
    fn of(view: &View, order: &Record, arguments: &Arguments<'_>) -> Result<Self, Stop> {
        let (olds, news) = (arguments.texts("item_ids")?, arguments.texts("new_item_ids")?);
        if let Some(absent) = first_absent(order, &olds) {
            return refuse(format!("{absent} not found"));
        }
        if olds.len() != news.len() {
            return refuse("the number of items to be exchanged should match");
        }
        let mut swap = Self { items: Vec::new(), difference: 0.0 };
        for (old, new) in olds.into_iter().zip(news) {
            let free = |index: &usize| swap.items.iter().all(|(taken, _)| taken != index);
            let mut items = list(order, "items").iter().enumerate();
            let found = items.find(|(index, item)| text(item, "item_id") == old && free(index));
            let (index, item) = found.expect("absent ids were refused above");
            let product = record(view, PRODUCTS, text(item, "product_id"))?;
            let variant = &product["variants"][new];
            if variant["available"] != true {
                return refuse(format!("new item {new} not found or available"));
            }
            swap.difference += price(variant) - price(item);
            swap.items.push((index, variant.clone()));
        }
        Ok(swap)
    }

    fn replace(self, order: &mut Record) {
        let Some(Value::Array(items)) = order.get_mut("items") else { return };
        for (index, variant) in self.items {
            for field in ["item_id", "price", "options"] {
                items[index][field] = variant[field].clone();
            }
        }
    }
}

fn price(item: &Value) -> f64 {
    item["price"].as_f64().unwrap_or_default()
}

fn is_gift_card(method: &str) -> bool {
    method.contains("gift_card")
}

/// The payment methods of an order's user. Only gift cards have a balance.
struct Wallet {
    user_id: String,
    user: Record,
    changed: bool,
}

impl Wallet {
    fn of(view: &View, order: &Record) -> Result<Self, Stop> {
        let user_id = order["user_id"].as_str().unwrap_or_default().to_owned();
        Ok(Self { user: record(view, USERS, &user_id)?, user_id, changed: false })
    }

    fn must_have(&self, method: &str) -> Result<(), Stop> {
        if self.user["payment_methods"].get(method).is_some() { Ok(()) } else { refuse("payment method not found") }
    }

    fn covers(&self, method: &str, amount: f64) -> bool {
        let method = &self.user["payment_methods"][method];
        method["source"] != "gift_card" || method["balance"].as_f64().unwrap_or_default() >= amount
    }

    fn add(&mut self, method: &str, amount: f64) {
        if !is_gift_card(method) {
            return;
        }
        if let Some(balance) = self.user["payment_methods"][method].get_mut("balance") {
            *balance = to_cents(balance.as_f64().unwrap_or_default() + amount).into();
            self.changed = true;
        }
    }

    fn put(self, view: &mut View) {
        if self.changed {
            view.put(USERS, &self.user_id, Value::Object(self.user));
        }
    }
}
