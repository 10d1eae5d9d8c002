//! Every metric of Gatepost's own, on one page.

use prometheus::Registry;

use super::family::{
    Counter, Description, Family, Gauge, Histogram, Instrument, MESSAGE_BYTES, NETWORK_SECONDS, RECIPIENTS,
    SCRIPT_SECONDS, SESSION_SECONDS, families,
};

families! {
    /// The families behind `gatepost_`; all label values come from fixed sets or from the operator's own names.
    Families {
        rejections_total: Counter [listener, stage, source, rule, code],
            "Replies 4xx and 5xx to clients, each counted once, by what caused them.";
        replies_total: Counter [listener, class],
            "Replies to clients by class (first digit).";
        commands_total: Counter [listener, command],
            "Commands from clients; what is no command counts as unknown.";
        connections_total: Counter [listener, outcome],
            "Connections from clients by what became of them at the door.";
        sessions_active: Gauge [listener],
            "Sessions that are open now.";
        sessions_limit: Gauge [listener],
            "Sessions that may be open at once (limits.sessions).";
        session_duration_seconds: Histogram [listener] in SESSION_SECONDS,
            "Time from accept to close of a session.";
        limits_total: Counter [listener, limit],
            "Times that a client ran into a configured limit.";
        auth_total: Counter [listener, mechanism, result],
            "Exchanges of AUTH that the upstream heard of, by mechanism and how they ended.";
        messages_total: Counter [listener, outcome],
            "Messages by final outcome, each counted once.";
        recipients_total: Counter [listener, outcome],
            "Recipients by the answer to their RCPT.";
        message_size_bytes: Histogram [listener, outcome] in MESSAGE_BYTES,
            "Size of messages as received.";
        message_recipients: Histogram [listener, outcome] in RECIPIENTS,
            "Accepted recipients of a message.";
        added_latency_seconds: Histogram [listener] in NETWORK_SECONDS,
            "Time from the end of the data to its reply, less the upstream's part.";
        tls_handshakes_total: Counter [side, version, key_exchange, outcome],
            "TLS handshakes with clients (side client) and upstreams (side upstream).";
        tls_certificate_not_after_timestamp_seconds: Gauge [listener, certificate],
            "When a certificate of a listener expires, in seconds since 1970, by the name of its file.";
        policy_decisions_total: Counter [listener, stage, rule, action, mode],
            "Verdicts and effects of policies by rule; only mode enforce had an effect.";
        tarpits_total: Counter [listener, result],
            "Replies that a policy delayed: waited to the end, ended with the client or the process, or not begun for want of room.";
        tarpits_active: Gauge [listener],
            "Sessions whose reply is being delayed by a policy.";
        quarantine_operations_total: Counter [operation, outcome],
            "What was done with entries of the quarantine, by the daemon; full is 452 to the client.";
        quarantine_entries: Gauge [state],
            "Entries of the quarantine; pending ones wait for the upstream, or were left by a crash.";
        quarantine_bytes: Gauge [],
            "Octets on disk that the quarantine takes.";
        policy_duration_seconds: Histogram [stage, policy] in SCRIPT_SECONDS,
            "Time in a policy's script for one stage, all reruns together, without waiting for facts.";
        policy_errors_total: Counter [policy, stage, kind],
            "Scripts that failed or ran out of their budget.";
        policy_info: Gauge [generation],
            "Constant 1; the policies that are in force.";
        config_last_reload_successful: Gauge [kind],
            "1 if the last reload of this kind was taken, 0 if the old state was kept.";
        config_last_reload_success_timestamp_seconds: Gauge [kind],
            "When the state in force was loaded, in seconds since 1970.";
        config_reloads_total: Counter [kind, outcome],
            "Attempts to reload, without the load at start.";
        spf_results_total: Counter [identity, result],
            "SPF results (RFC 7208) for the HELO and MAIL FROM identities.";
        dkim_results_total: Counter [result, reason],
            "DKIM results (RFC 6376), one for each signature; a message without any counts once as none.";
        dmarc_results_total: Counter [result, policy, disposition],
            "DMARC results (RFC 9989) by the policy of the author's domain and what was done with the message.";
        arc_results_total: Counter [result, trusted],
            "ARC results (RFC 8617), and whether every sealer of the chain is a trusted one.";
        dns_lookups_total: Counter [type, cache, outcome],
            "DNS look-ups by record type.";
        dns_lookup_duration_seconds: Histogram [type] in NETWORK_SECONDS,
            "Time of DNS look-ups that the cache could not answer.";
        dns_cache_entries: Gauge [],
            "Answers in the DNS caches.";
        dns_failing: Gauge [],
            "1 if nothing was answered for ten seconds, though names of five different domains were asked for.";
        greylist_total: Counter [result],
            "Attempts that greylisting saw; would_wait is a first attempt in shadow.";
        store_operations_total: Counter [operation, result],
            "Operations on the store of policies' memory; down were not tried, as the store is known to fail.";
        store_operation_duration_seconds: Histogram [operation] in NETWORK_SECONDS,
            "Time of operations on the store that were tried.";
        store_up: Gauge [],
            "1 if the store is asked, 0 while it is known to fail.";
        store_records: Gauge [table],
            "Records that an embedded store holds.";
        store_displaced_total: Counter [table],
            "Records of an embedded store that had to go before their time for want of room.";
        store_flushes_total: Counter [result],
            "Times that an embedded store wrote down what had changed.";
        dnsbl_lookups_total: Counter [list, outcome],
            "Questions to DNS lists by what they said; a list that no script or setting names counts as other.";
        dnsbl_usable: Gauge [list],
            "1 if the test entries of a DNS list are as they should be, seen through our own resolver.";
        services_asked_total: Counter [service, outcome],
            "Questions of policies to web services and scanners.";
        upstream_up: Gauge [upstream],
            "1 if the last connection or probe succeeded.";
        upstream_address_up: Gauge [upstream, address],
            "1 if this address of the upstream answered when it was last tried.";
        upstream_sessions_active: Gauge [upstream, address],
            "Connections to this address of the upstream, idle ones too.";
        upstream_connects_total: Counter [upstream, outcome],
            "Attempts to get a connection to the upstream.";
        upstream_replies_total: Counter [upstream, command, class],
            "Replies of the upstream by command and class (first digit); none if it did not answer.";
        upstream_reply_duration_seconds: Histogram [upstream, command] in NETWORK_SECONDS,
            "Wait for the upstream's reply.";
        upstream_ambiguous_total: Counter [upstream],
            "Upstreams lost between the final dot and its reply: the message may arrive twice, it is never lost.";
        upstream_starttls_missing_total: Counter [upstream, mode],
            "Connections to an upstream that did not offer STARTTLS: all where it is required, else those to one that spoke TLS before.";
        decisions_total: Counter [],
            "Decisions that were kept, in memory, in the file or both.";
        decisions_dropped_total: Counter [reason],
            "Decisions that were not kept (queue, format) or not written to the file (disk).";
        tokio_workers: Gauge [],
            "Worker threads of the runtime.";
        tokio_alive_tasks: Gauge [],
            "Tasks of the runtime that have not ended.";
        tokio_global_queue_depth: Gauge [],
            "Tasks that wait for any worker.";
        build_info: Gauge [version],
            "Constant 1; the version that runs.";
    }
}
