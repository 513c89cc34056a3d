//! Policies with parameters by name, as settings write them.

use std::sync::Arc;

use cache_enterprise_core::{Error, PolicyFactory, Result};

use super::names::canonical;
use super::{Adaptive, Clock, Learned, Lfu, Lirs, S3Fifo, Slru, TwoQ, WTinyLfu, resolve};

/// The policy of this name, as [`resolve`] understands it, with some of its parameters set. Those
/// that are not named keep their defaults.
///
/// | policy | parameters |
/// |---|---|
/// | `lfu` | `uses_max` |
/// | `clock` | `rounds` |
/// | `slru` | `protected_share` |
/// | `2q` | `entry_share`, `ghost_share` |
/// | `lirs` | `queue_share`, `ghost_share` |
/// | `s3-fifo` | `small_share`, `ghost_share`, `promote_at` |
/// | `w-tinylfu` | `window_share`, `ghost_share` |
/// | `adaptive` | `learning_rate` |
/// | `learned` | `learning_rate`, `optimization_interval`, `min_data_points` |
///
/// ```
/// use cache_enterprise_strategies::eviction::configure;
///
/// assert_eq!(configure("s3fifo", [("small_share", 0.05), ("promote_at", 1.0)])?.name(), "s3-fifo");
/// let error = configure("s3-fifo", [("smal_share", 0.05)]).expect_err("no such parameter");
/// assert!(error.to_string().contains("known: small_share, ghost_share, promote_at"));
/// assert!(configure("clock", [("rounds", 1.5)]).is_err());
/// assert!(configure("lru", [("rounds", 1.0)]).is_err());
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
///
/// # Errors
/// [`Config`](cache_enterprise_core::ErrorKind::Config) for an unknown policy or parameter, with
/// the known ones, and for a value outside of its range.
pub fn configure<'a>(
    name: &str,
    parameters: impl IntoIterator<Item = (&'a str, f64)>,
) -> Result<Arc<dyn PolicyFactory>> {
    let mut parameters = parameters.into_iter().peekable();
    if parameters.peek().is_none() {
        return resolve(name);
    }
    match &*canonical(name) {
        "lfu" => set_all(Lfu::default(), parameters),
        "clock" => set_all(Clock::default(), parameters),
        "slru" => set_all(Slru::default(), parameters),
        "2q" => set_all(TwoQ::default(), parameters),
        "lirs" => set_all(Lirs::default(), parameters),
        "s3-fifo" => set_all(S3Fifo::default(), parameters),
        "w-tinylfu" => set_all(WTinyLfu::default(), parameters),
        "adaptive" => set_all(Adaptive::default(), parameters),
        "learned" => set_all(Learned::default(), parameters),
        other => {
            let policy = resolve(other)?;
            Err(Error::config("the policy has no parameters that can be set by name")
                .operation("configure the eviction policy")
                .with("policy", policy.name()))
        }
    }
}

/// A policy whose parameters have names.
trait Parameters: PolicyFactory + Sized {
    const KNOWN: &'static [&'static str];

    /// Sets one of the known ones. Nothing for any other.
    fn set(self, parameter: &str, value: f64) -> Option<Result<Self>>;
}

fn set_all<'a, P: Parameters>(
    mut policy: P,
    parameters: impl Iterator<Item = (&'a str, f64)>,
) -> Result<Arc<dyn PolicyFactory>> {
    for (parameter, value) in parameters {
        let unknown = Error::config("the policy has no parameter of this name")
            .operation("configure the eviction policy")
            .with("policy", policy.name())
            .with("parameter", parameter)
            .with("known", P::KNOWN.join(", "));
        policy = policy.set(parameter, value).unwrap_or(Err(unknown))?;
    }
    Ok(Arc::new(policy))
}

/// A small number of things. What is none becomes 0, which is below every range.
fn count(value: f64) -> u8 {
    u8::try_from(whole(value)).unwrap_or(0)
}

/// A number of things. What is not whole, or too large for a float to be exact, becomes a number
/// above every range.
fn whole(value: f64) -> u64 {
    let counts = value.fract() == 0.0 && (0.0..=9e15).contains(&value);
    if counts { value as u64 } else { u64::MAX }
}

impl Parameters for Lfu {
    const KNOWN: &'static [&'static str] = &["uses_max"];

    fn set(self, parameter: &str, value: f64) -> Option<Result<Self>> {
        (parameter == "uses_max").then(|| self.uses_max(count(value)))
    }
}

impl Parameters for Clock {
    const KNOWN: &'static [&'static str] = &["rounds"];

    fn set(self, parameter: &str, value: f64) -> Option<Result<Self>> {
        (parameter == "rounds").then(|| self.rounds(count(value)))
    }
}

impl Parameters for Slru {
    const KNOWN: &'static [&'static str] = &["protected_share"];

    fn set(self, parameter: &str, value: f64) -> Option<Result<Self>> {
        (parameter == "protected_share").then(|| self.protected_share(value))
    }
}

impl Parameters for TwoQ {
    const KNOWN: &'static [&'static str] = &["entry_share", "ghost_share"];

    fn set(self, parameter: &str, value: f64) -> Option<Result<Self>> {
        Some(match parameter {
            "entry_share" => self.entry_share(value),
            "ghost_share" => self.ghost_share(value),
            _ => return None,
        })
    }
}

impl Parameters for Lirs {
    const KNOWN: &'static [&'static str] = &["queue_share", "ghost_share"];

    fn set(self, parameter: &str, value: f64) -> Option<Result<Self>> {
        Some(match parameter {
            "queue_share" => self.queue_share(value),
            "ghost_share" => self.ghost_share(value),
            _ => return None,
        })
    }
}

impl Parameters for S3Fifo {
    const KNOWN: &'static [&'static str] = &["small_share", "ghost_share", "promote_at"];

    fn set(self, parameter: &str, value: f64) -> Option<Result<Self>> {
        Some(match parameter {
            "small_share" => self.small_share(value),
            "ghost_share" => self.ghost_share(value),
            "promote_at" => self.promote_at(count(value)),
            _ => return None,
        })
    }
}

impl Parameters for WTinyLfu {
    const KNOWN: &'static [&'static str] = &["window_share", "ghost_share"];

    fn set(self, parameter: &str, value: f64) -> Option<Result<Self>> {
        Some(match parameter {
            "window_share" => self.window_share(value),
            "ghost_share" => self.ghost_share(value),
            _ => return None,
        })
    }
}

impl Parameters for Adaptive {
    const KNOWN: &'static [&'static str] = &["learning_rate"];

    fn set(self, parameter: &str, value: f64) -> Option<Result<Self>> {
        (parameter == "learning_rate").then(|| self.learning_rate(value))
    }
}

impl Parameters for Learned {
    const KNOWN: &'static [&'static str] =
        &["learning_rate", "optimization_interval", "min_data_points"];

    fn set(self, parameter: &str, value: f64) -> Option<Result<Self>> {
        Some(match parameter {
            "learning_rate" => self.learning_rate(value),
            "optimization_interval" => self.optimization_interval(whole(value)),
            "min_data_points" => self.min_data_points(whole(value)),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_parameter_is_set_by_its_name_and_refuses_what_is_no_number() {
        for (policy, known) in [
            ("lfu", Lfu::KNOWN),
            ("clock", Clock::KNOWN),
            ("slru", Slru::KNOWN),
            ("2q", TwoQ::KNOWN),
            ("lirs", Lirs::KNOWN),
            ("s3-fifo", S3Fifo::KNOWN),
            ("w-tinylfu", WTinyLfu::KNOWN),
            ("adaptive", Adaptive::KNOWN),
            ("learned", Learned::KNOWN),
        ] {
            for parameter in known {
                for value in [f64::NAN, 0.5e-9, -1.0, 1e300, f64::INFINITY] {
                    let refused = configure(policy, [(*parameter, value)]);
                    let text = refused.expect_err("outside of any range").to_string();
                    assert!(text.contains(parameter) && text.contains("range"), "{text}");
                }
                let in_range =
                    [0.5, 2.0, 1_000.0].map(|value| configure(policy, [(*parameter, value)]));
                assert!(in_range.iter().any(Result::is_ok), "{policy}: {parameter}");
            }
        }
    }

    #[test]
    fn the_unknown_is_refused() {
        for policy in ["no-such-policy", "lru", "clock"] {
            assert!(configure(policy, [("no_such_parameter", 1.0)]).is_err());
        }
        assert!(configure("lru", []).is_ok());
    }
}
