//! The limits of Gatepost: where each is configured, and what it is for.

/// A limit in words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limit {
    /// Its name in metrics and decisions.
    pub(super) name: &'static str,
    /// Where it is configured; `{}` is the listener. Empty where it is not.
    key: &'static str,
    /// What the client did.
    pub(super) why: &'static str,
    /// What helps a client that means well.
    pub(super) advice: &'static str,
}

const ROOM: &str =
    "If the client is a busy server of a partner, add its network to `limits.exempt` of the listener.";
const SLOW: &str =
    "A client that means well tries again later; if it is always too slow, look at the network between.";
const SPLIT: &str =
    "The client sends the remaining recipients in a transaction of their own; every mail server does.";

/// Every limit.
const LIMITS: [Limit; 26] = [
    limit(
        "sessions",
        "listeners.{}.limits.sessions",
        "the listener had as many sessions as it may have",
        "Raise the limit if the machine has room; the client tries again later.",
    ),
    limit(
        "sessions_per_ip",
        "listeners.{}.limits.sessions_per_ip",
        "the client had as many sessions open as one address may have",
        ROOM,
    ),
    limit(
        "sessions_per_network",
        "listeners.{}.limits.sessions_per_network",
        "the client's network had as many sessions open as one network may have",
        ROOM,
    ),
    limit(
        "connection_rate",
        "listeners.{}.limits.connection_rate",
        "the client connected more often than one address may",
        ROOM,
    ),
    limit(
        "handshake_rate",
        "listeners.{}.limits.handshake_rate",
        "the client began more TLS handshakes than one address may",
        ROOM,
    ),
    limit(
        "descriptors",
        "",
        "there were no file descriptors left for another session",
        "Raise LimitNOFILE of the service, or lower limits.sessions.",
    ),
    limit(
        "message_size",
        "listeners.{}.limits.message_size",
        "the message was larger than the listener takes, or said so in SIZE",
        "Raise the limit (the upstream has one of its own), or ask the sender to send a link.",
    ),
    limit(
        "upstream_size",
        "",
        "the client said in SIZE that the message is larger than the upstream takes, less 16 KiB for the fields that Gatepost adds",
        "Raise the limit of the mail server (Postfix: `message_size_limit`), or ask the sender to send a link.",
    ),
    limit(
        "header_size",
        "listeners.{}.limits.header_size",
        "the header of the message was larger than the listener takes",
        "Raise the limit if the sender has a reason for such a header; most are broken.",
    ),
    limit(
        "recipients",
        "listeners.{}.limits.recipients",
        "the transaction had as many recipients as one may have",
        SPLIT,
    ),
    limit(
        "other_route",
        "routes",
        "this recipient's mail goes to another upstream than that of the first recipient, and a reply to the message could not speak for both",
        SPLIT,
    ),
    limit(
        "other_policies",
        "policies.domains",
        "other policies stand for this recipient's domain than for the first recipient's, and one judgement of the message could not speak for both",
        SPLIT,
    ),
    limit(
        "one_recipient",
        "upstreams",
        "the upstream is spoken to by LMTP, which has an answer for each recipient where the client has room for one",
        SPLIT,
    ),
    limit(
        "transactions",
        "listeners.{}.limits.transactions",
        "the session had as many transactions as one may have",
        "The client connects again.",
    ),
    limit(
        "errors",
        "listeners.{}.limits.errors",
        "too many of the client's commands had failed",
        "Look at the decisions of the same session: what failed before is what has to be mended.",
    ),
    limit(
        "junk_commands",
        "listeners.{}.limits.junk_commands",
        "the client said too many commands that do no work (NOOP, RSET, VRFY, EHLO again)",
        "If it is a monitoring system, let it say less, or raise the limit.",
    ),
    limit(
        "tls_required",
        "listeners.{}.tls.mode",
        "the listener takes mail under TLS only, and the client did not say STARTTLS",
        "The sender's server has to speak TLS; `mode: opportunistic` takes mail without it.",
    ),
    limit(
        "auth_required",
        "listeners.{}.auth_required",
        "the listener takes mail from those who have logged in only",
        "The user's program has to be told to log in, with user name and password.",
    ),
    limit(
        "auth_failures",
        "listeners.{}.limits.auth_failures",
        "too many logins of the session had failed",
        "The upstream's log says why it refused them.",
    ),
    limit(
        "auth_challenges",
        "",
        "the exchange of AUTH came to no end after 32 challenges",
        "No mechanism needs so many: look at the upstream's log.",
    ),
    limit(
        "line_length",
        "listeners.{}.limits.line_length",
        "a line of the message had more than 998 octets (RFC 5322 2.1.1)",
        "The sender's program breaks the standard; `line_length: pass` takes such messages.",
    ),
    limit(
        "min_data_rate",
        "listeners.{}.limits.min_data_rate",
        "the message came more slowly than it may",
        SLOW,
    ),
    limit("write_timeout", "", "the client did not take our replies for a minute", SLOW),
    limit(
        "command_timeout",
        "listeners.{}.timeouts.command",
        "the client did not say anything for too long",
        SLOW,
    ),
    limit("data_timeout", "listeners.{}.timeouts.data", "the message stood still for too long", SLOW),
    limit("session_timeout", "listeners.{}.timeouts.session", "the session took too long as a whole", SLOW),
];

const fn limit(name: &'static str, key: &'static str, why: &'static str, advice: &'static str) -> Limit {
    Limit { name, key, why, advice }
}

impl Limit {
    /// The limit with this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        LIMITS.iter().find(|limit| limit.name == name)
    }

    /// What would have had to be different, where the limit stands under `key`.
    pub(super) fn otherwise(&self, key: &str) -> String {
        match self.name {
            "tls_required" => "The client would have had to say STARTTLS first.".to_owned(),
            "auth_required" => "The client would have had to log in first.".to_owned(),
            "other_route" | "other_policies" | "one_recipient" => {
                "The recipient would have had to come in a transaction of its own.".to_owned()
            }
            "line_length" => "Its lines would have had to be shorter.".to_owned(),
            "command_timeout" | "data_timeout" | "session_timeout" => {
                format!("A quicker client, or a longer `{key}`.")
            }
            "min_data_rate" => format!("A quicker client, or a lower `{key}`."),
            "write_timeout" => "The client would have had to take our replies.".to_owned(),
            _ if key.is_empty() => format!("Less of it by the client, or another limit, {}.", self.whose()),
            _ => format!("Less of it by the client, or a higher `{key}`."),
        }
    }

    /// Whose it is, where it is not configured.
    pub(super) fn whose(&self) -> &'static str {
        if self.name == "upstream_size" { "which the upstream sets" } else { "which is fixed" }
    }

    /// Where it is configured for this listener; empty where it is not.
    pub(super) fn key(&self, listener: &str) -> String {
        self.key.replace("{}", listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_have_had_to_be_different_fits_the_limit() {
        let otherwise = |name: &str| {
            let limit = Limit::named(name).unwrap();
            limit.otherwise(&limit.key("mx"))
        };
        assert_eq!(otherwise("tls_required"), "The client would have had to say STARTTLS first.");
        assert_eq!(
            otherwise("min_data_rate"),
            "A quicker client, or a lower `listeners.mx.limits.min_data_rate`."
        );
        assert_eq!(
            otherwise("upstream_size"),
            "Less of it by the client, or another limit, which the upstream sets."
        );
        assert_eq!(
            otherwise("sessions"),
            "Less of it by the client, or a higher `listeners.mx.limits.sessions`."
        );
    }

    #[test]
    fn every_limit_that_is_counted_is_explained() {
        let metrics = crate::metrics::Metrics::new();
        let _listener = metrics.listener("mx");
        let text = metrics.encode().unwrap();
        let counted = text
            .lines()
            .filter_map(|line| line.strip_prefix("gatepost_limits_total{limit=\"")?.split('"').next());
        let counted: Vec<_> = counted.collect();
        assert!(counted.len() > 20);
        for name in counted {
            assert!(Limit::named(name).is_some(), "{name}");
        }
    }
}
