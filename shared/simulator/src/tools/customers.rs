//! The built-in tools: a small bank's customers, their payments, and what was decided about them.

use serde_json::{Value, json};

/// The names of the tools that exist without any configuration.
pub(crate) const TOOLS: [&str; 5] = ["lookup_customer", "lookup_payment", "account_status", "record_decision", "echo"];

struct Customer {
    id: &'static str,
    name: &'static str,
    since: &'static str,
    account: &'static str,
    payment: Payment,
}

struct Payment {
    id: &'static str,
    amount: &'static str,
    currency: &'static str,
    merchant: &'static str,
    at: &'static str,
    authenticated: bool,
}

const CUSTOMERS: [Customer; 5] = [
    Customer {
        id: "C-1001",
        name: "Ada Winter",
        since: "2019-04-02",
        account: "active",
        payment: Payment {
            id: "P-5001",
            amount: "249.90",
            currency: "EUR",
            merchant: "Northlight Electronics",
            at: "2026-06-03T14:12:09Z",
            authenticated: false,
        },
    },
    Customer {
        id: "C-1002",
        name: "Bruno Costa",
        since: "2021-11-17",
        account: "active",
        payment: Payment {
            id: "P-5002",
            amount: "39.00",
            currency: "EUR",
            merchant: "Harbour Gym",
            at: "2026-06-01T06:00:00Z",
            authenticated: true,
        },
    },
    Customer {
        id: "C-1003",
        name: "Chioma Eze",
        since: "2016-08-29",
        account: "frozen",
        payment: Payment {
            id: "P-5003",
            amount: "1840.00",
            currency: "USD",
            merchant: "Skyline Travel",
            at: "2026-05-28T22:41:50Z",
            authenticated: false,
        },
    },
    Customer {
        id: "C-1004",
        name: "Dmitri Novak",
        since: "2023-01-09",
        account: "active",
        payment: Payment {
            id: "P-5004",
            amount: "12.49",
            currency: "GBP",
            merchant: "Corner Books",
            at: "2026-06-04T09:30:11Z",
            authenticated: true,
        },
    },
    Customer {
        id: "C-1005",
        name: "Eun-ji Park",
        since: "2018-12-24",
        account: "closed",
        payment: Payment {
            id: "P-5005",
            amount: "530.25",
            currency: "EUR",
            merchant: "Atelier Verre",
            at: "2026-05-30T17:05:33Z",
            authenticated: false,
        },
    },
];

/// What a built-in tool answers; `Err` is its own "not found". Nothing for a tool that is not built in.
pub(crate) fn answer(tool: &str, arguments: &Value, number: usize) -> Option<Result<Value, String>> {
    if !TOOLS.contains(&tool) || tool == "echo" {
        return None;
    }
    let id = arguments["customer_id"].as_str().unwrap_or_default();
    let Some(customer) = CUSTOMERS.iter().find(|customer| customer.id == id) else {
        return Some(Err(format!("there is no customer {id:?}")));
    };
    Some(Ok(match tool {
        "lookup_customer" => json!({"customer_id": id, "name": customer.name, "customer_since": customer.since}),
        "lookup_payment" => customer.payment.json(id),
        "account_status" => json!({"customer_id": id, "status": customer.account}),
        _ => json!({
            "recorded": true,
            "decision_id": format!("D-{}", 9_001 + number),
            "customer_id": id,
            "decision": arguments["decision"],
        }),
    }))
}

impl Payment {
    fn json(&self, customer: &str) -> Value {
        json!({
            "payment_id": self.id,
            "customer_id": customer,
            "amount": self.amount,
            "currency": self.currency,
            "merchant": self.merchant,
            "at": self.at,
            "authenticated": self.authenticated,
        })
    }
}
