//! `gatepost reload`: the process reads everything again, and says what came of it.

use serde_json::{Value, json};

use super::Failure;
use super::endpoint::Endpoint;
use super::screen::{Format, Screen};

/// Orders a reload. With `wait`, shows what changed; the exit status is then 1 when something was refused.
pub(super) fn reload(endpoint: &Endpoint, wait: bool, format: Format, screen: Screen) -> Result<(), Failure> {
    if !wait {
        endpoint.order("/reload?wait=no")?;
        match format {
            Format::Json => screen.say_json(&json!({ "outcome": "ordered" }).to_string()),
            Format::Text => screen.say("ordered; `--wait` tells the result, and so does the log"),
        }
        return Ok(());
    }
    let answer = endpoint.order("/reload")?;
    let reloads: Value = serde_json::from_str(&answer)?;
    match format {
        Format::Json => screen.say_json(&format!("{reloads:#}")),
        Format::Text => reloads.as_array().into_iter().flatten().for_each(|reload| show(reload, screen)),
    }
    let refused = reloads.as_array().into_iter().flatten().any(|reload| reload["outcome"] == "refused");
    if refused { Err(Failure::Shown) } else { Ok(()) }
}

fn show(reload: &Value, screen: Screen) {
    let word = |key: &str| reload[key].as_str().unwrap_or_default();
    screen.say(&format!("{}: {}", word("kind"), word("outcome")));
    for line in reload["lines"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        screen.say(&format!("    {line}"));
    }
}
