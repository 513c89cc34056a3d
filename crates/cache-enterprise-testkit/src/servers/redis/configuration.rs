//! The configuration file of a Redis server. Passwords stand there and not among the arguments,
//! which every user of the machine can list.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::options::RedisOptions;
use crate::servers::certificates::Certificates;

const FILE: &str = "redis.conf";

/// What a server is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::servers) enum Role {
    Standalone,
    ReplicaOf(u16),
    ClusterNode,
    Sentinel { master_name: &'static str, primary: u16, quorum: usize, down_after: Duration },
}

/// Arguments of `redis-server`, which runs in the folder of its file.
pub(super) fn arguments(role: &Role) -> Vec<String> {
    let mut arguments = vec![FILE.to_owned()];
    if matches!(role, Role::Sentinel { .. }) {
        arguments.push("--sentinel".to_owned());
    }
    arguments
}

pub(super) fn write(
    options: &RedisOptions,
    role: &Role,
    port: u16,
    certificates: Option<&Certificates>,
    folder: &Path,
) {
    let text = text(options, role, port, certificates);
    fs::write(folder.join(FILE), text).expect("the temporary folder can be written");
}

fn text(
    options: &RedisOptions,
    role: &Role,
    port: u16,
    certificates: Option<&Certificates>,
) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name} {value}").expect("a String takes every text");
    };
    line("bind", "127.0.0.1");
    line("daemonize", "no");
    match certificates {
        Some(certificates) => {
            line("port", "0");
            line("tls-port", &port.to_string());
            let file = |path: &Path| format!("\"{}\"", path.display());
            line("tls-cert-file", &file(&certificates.server_certificate_file()));
            line("tls-key-file", &file(&certificates.server_key_file()));
            line("tls-ca-cert-file", &file(&certificates.ca_file()));
            let asks = if options.asks_clients_for_certificates() { "yes" } else { "no" };
            line("tls-auth-clients", asks);
        }
        None => line("port", &port.to_string()),
    }
    if let Role::Sentinel { master_name, primary, quorum, down_after } = role {
        let millis = down_after.as_millis();
        line("sentinel", &format!("monitor {master_name} 127.0.0.1 {primary} {quorum}"));
        line("sentinel", &format!("down-after-milliseconds {master_name} {millis}"));
        line("sentinel", &format!("failover-timeout {master_name} {}", 10 * millis));
        if let Some(password) = options.password_text() {
            line("sentinel", &format!("auth-pass {master_name} {password}"));
        }
        return text;
    }
    line("save", "\"\"");
    line("appendonly", "no");
    // Replicas are there when the harness says so, not five seconds later.
    line("repl-diskless-sync-delay", "0");
    match role {
        Role::ReplicaOf(primary) => line("replicaof", &format!("127.0.0.1 {primary}")),
        Role::ClusterNode => {
            line("cluster-enabled", "yes");
            line("cluster-config-file", "nodes.conf");
        }
        Role::Standalone | Role::Sentinel { .. } => {}
    }
    match (options.user_name(), options.password_text()) {
        (Some(user), Some(password)) => {
            line("user", "default off");
            line("user", &format!("{user} on >{password} ~* &* +@all"));
        }
        (None, Some(password)) => {
            line("requirepass", &format!("\"{password}\""));
            line("masterauth", &format!("\"{password}\""));
        }
        (_, None) => {}
    }
    for (name, value) in options.directives() {
        line(name, value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_test_adds_has_the_last_word() {
        let options = RedisOptions::new().arg("appendonly", "yes");
        let text = text(&options, &Role::Standalone, 7, None);
        assert!(text.contains("\nport 7\n") && text.starts_with("bind 127.0.0.1\n"), "{text}");
        assert!(text.find("appendonly no") < text.find("appendonly yes"), "{text}");
    }

    #[test]
    fn a_user_replaces_the_default_one() {
        let text = text(&RedisOptions::new().user("app", "x"), &Role::Standalone, 7, None);
        assert!(text.contains("user default off\nuser app on >x ~* &* +@all\n"), "{text}");
        assert!(!text.contains("requirepass"), "{text}");
    }
}
