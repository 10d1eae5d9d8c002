//! `hold`, `drop`, `redirect`, `add_recipient`, `remove_recipient`: who gets a message, and who does not.

use std::sync::Arc;

use rhai::{Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::judgement::Action;
use super::super::scene::{MailScene, Moment};
use super::super::turn::{State, Turn, fault, too_large};
use super::effects::{order_counted, rule_speaks};
use super::mail::{Mail, Rcpt};
use crate::session::stage::{Reason, RecipientChange, Source};
use crate::smtp::path::{ForwardPath, Mailbox};

type Said = Result<(), Box<EvalAltResult>>;

/// Changes of one turn. More recipients than a transaction may have by default.
const MAX_CHANGES: usize = 4_096;

pub(super) fn register(engine: &mut Engine) {
    for action in [Action::Hold, Action::Drop] {
        engine.register_fn(
            action.name(),
            move |call: NativeCallContext<'_>, rule: ImmutableString, rcpt: Rcpt, reason: ImmutableString| {
                set_aside(&call, action, &rule, &rcpt, &reason)
            },
        );
    }
    engine.register_fn("redirect", |call: NativeCallContext<'_>, rcpt: &mut Rcpt, to: ImmutableString| {
        redirect_this(&call, rcpt, &to)
    });
    engine.register_fn(
        "redirect",
        |call: NativeCallContext<'_>, _: &mut Mail, rcpt: Rcpt, to: ImmutableString| {
            let target = target(&call, &to)?;
            let index = place_of(&call, &rcpt)?;
            let effect = || format!("redirect {} to {to}", rcpt.0.address.address());
            change(&call, Action::Redirect, effect, RecipientChange::Redirect(index, target))
        },
    );
    engine.register_fn("add_recipient", |call: NativeCallContext<'_>, _: &mut Mail, to: ImmutableString| {
        let target = target(&call, &to)?;
        let effect = || format!("add_recipient {to}");
        change(&call, Action::AddRecipient, effect, RecipientChange::Add(target))
    });
    engine.register_fn("remove_recipient", |call: NativeCallContext<'_>, _: &mut Mail, rcpt: Rcpt| {
        let index = place_of(&call, &rcpt)?;
        let effect = || format!("remove_recipient {}", rcpt.0.address.address());
        change(&call, Action::RemoveRecipient, effect, RecipientChange::Remove(index))
    });
}

/// `hold` and `drop`: one recipient's copy goes elsewhere, in the name of a rule.
fn set_aside(call: &NativeCallContext<'_>, action: Action, rule: &str, rcpt: &Rcpt, reason: &str) -> Said {
    let index = place_of(call, rcpt)?;
    let Some((turn, rule)) = rule_speaks(call, rule, action)? else { return Ok(()) };
    let reason =
        Reason { rule, place: Some(turn.place(call)), ..Reason::new(Source::Policy, "") }.with_detail(reason);
    let change = match action {
        Action::Hold => RecipientChange::Quarantine(index, reason),
        _ => RecipientChange::Discard(index, reason),
    };
    put(call, &mut turn.state(), change)
}

/// `rcpt.redirect(address)`: the upstream is asked about the other address in place of this one.
fn redirect_this(call: &NativeCallContext<'_>, rcpt: &Rcpt, to: &str) -> Said {
    let turn = Turn::of(call)?;
    if !matches!(&turn.0.scene.moment, Moment::Rcpt(_, asked) if Arc::ptr_eq(asked, &rcpt.0)) {
        return Err(fault(call, "at this stage it is `mail.redirect(rcpt, address)`"));
    }
    let target = target(call, to)?;
    order_counted(
        call,
        Action::Redirect,
        || format!("redirect {} to {to}", rcpt.0.address.address()),
        |state| {
            state.draft.effects.redirect = Some(Box::new(target));
            Ok(())
        },
    )
}

fn change(
    call: &NativeCallContext<'_>,
    action: Action,
    effect: impl FnOnce() -> String,
    change: RecipientChange,
) -> Said {
    order_counted(call, action, effect, |state| put(call, state, change))
}

fn put(call: &NativeCallContext<'_>, state: &mut State, change: RecipientChange) -> Said {
    let changes = &mut state.draft.effects.recipients;
    if changes.len() >= MAX_CHANGES {
        return Err(too_large(call, "changes of recipients"));
    }
    changes.push(change);
    Ok(())
}

/// The address that a policy sends mail to. Not just any: with an address out of the mail itself, this would be a way to relay.
fn target(call: &NativeCallContext<'_>, to: &str) -> Result<ForwardPath, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    let mailbox = Mailbox::parse(to)
        .map_err(|error| fault(call, format!("`{}` is no address: {error}", to.escape_debug())))?;
    let path = ForwardPath::Mailbox(mailbox);
    if !turn.0.policies.redirect_domains.takes(&path) {
        let message = format!("`{to}` is in none of our domains, nor in policies.redirect_domains");
        return Err(fault(call, message));
    }
    if !to.is_ascii() && !turn.0.scene.moment.mail().is_some_and(|mail| mail.smtputf8) {
        return Err(fault(call, format!("`{to}` can be a recipient only under SMTPUTF8")));
    }
    Ok(path)
}

/// The recipient's place among those of the mail, when no more can come. The objects are the same from the beginning of a stage to its end.
fn place_of(call: &NativeCallContext<'_>, rcpt: &Rcpt) -> Result<usize, Box<EvalAltResult>> {
    let turn = Turn::of(call)?;
    if matches!(turn.0.scene.moment, Moment::Rcpt(..)) {
        return Err(fault(call, "at this stage it is `rcpt.redirect(address)`"));
    }
    let known = |mail: &Arc<MailScene>| mail.recipients.iter().position(|one| Arc::ptr_eq(one, &rcpt.0));
    turn.0.scene.moment.mail().and_then(known).ok_or_else(|| {
        fault(call, format!("`{}` is not among the mail's recipients", rcpt.0.address.address()))
    })
}
