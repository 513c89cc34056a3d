//! Dividing an amount by claims.

/// What one party asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// It gets at least this.
    pub(super) floor: u64,
    /// And never more than this.
    pub(super) ceiling: u64,
    /// What it could use.
    pub(super) want: u64,
}

/// Divides `amount`: first the floors, then in proportion to what is wanted above them, then what
/// nobody wants in proportion to the wants, all below the ceilings. The sum is never above
/// `amount`.
pub(super) fn divide(amount: u64, claims: &[Claim]) -> Vec<u64> {
    let floors: u64 = claims.iter().map(|claim| claim.floor).sum();
    let mut parts: Vec<u64> = match amount.checked_sub(floors) {
        Some(_) => claims.iter().map(|claim| claim.floor).collect(),
        None => claims.iter().map(|claim| scale(amount, claim.floor, floors)).collect(),
    };
    let wanted: Vec<_> = claims
        .iter()
        .map(|claim| {
            let limit = claim.want.clamp(claim.floor, claim.ceiling.max(claim.floor));
            (limit, limit - claim.floor)
        })
        .collect();
    fill(amount, &mut parts, &wanted);
    let rest: Vec<_> =
        claims.iter().map(|claim| (claim.ceiling, claim.want.max(claim.floor).max(1))).collect();
    fill(amount, &mut parts, &rest);
    parts
}

/// Raises the parts in proportion to their shares, each up to its limit, while something is left.
fn fill(amount: u64, parts: &mut [u64], limits_and_shares: &[(u64, u64)]) {
    loop {
        let left = amount.saturating_sub(parts.iter().sum());
        let open = |(part, (limit, share)): (&u64, &(u64, u64))| {
            if part < limit { u128::from(*share) } else { 0 }
        };
        let shares: u128 = parts.iter().zip(limits_and_shares).map(open).sum();
        if left == 0 || shares == 0 {
            return;
        }
        let mut given = 0;
        for (part, (limit, share)) in parts.iter_mut().zip(limits_and_shares) {
            let room = limit.saturating_sub(*part);
            let gift = u128::from(left) * u128::from(*share) / shares;
            let gift = u64::try_from(gift).unwrap_or(u64::MAX).min(room);
            *part += gift;
            given += gift;
        }
        if given == 0 {
            return;
        }
    }
}

fn scale(amount: u64, part: u64, whole: u64) -> u64 {
    let scaled = u128::from(amount) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    const NO_LIMIT: u64 = u64::MAX;

    fn claim(floor: u64, ceiling: u64, want: u64) -> Claim {
        Claim { floor, ceiling, want }
    }

    #[test]
    fn equal_wants_get_equal_parts() {
        assert_eq!(divide(900, &[claim(0, NO_LIMIT, 500); 3]), [300; 3]);
    }

    #[test]
    fn floors_come_first_and_ceilings_hold() {
        let claims = [claim(400, NO_LIMIT, 0), claim(0, 100, 1_000), claim(0, NO_LIMIT, 500)];
        assert_eq!(divide(1_000, &claims), [400, 100, 500]);
        // A want above the ceiling weighs no more than the ceiling.
        let claims = [claim(0, 100, 1_000), claim(0, NO_LIMIT, 1_000)];
        assert_eq!(divide(550, &claims), [50, 500]);
    }

    #[test]
    fn what_nobody_wants_is_given_too() {
        assert_eq!(divide(900, &[claim(0, NO_LIMIT, 100), claim(0, NO_LIMIT, 200)]), [300, 600]);
        assert_eq!(divide(900, &[claim(0, 150, 100), claim(0, 200, 200)]), [150, 200]);
    }

    #[test]
    fn any_claims_keep_their_limits_and_the_sum() {
        let mut random = StdRng::seed_from_u64(11);
        for _ in 0..20_000 {
            let amount = random.random_range(0..1_000_000);
            let claims: Vec<_> = (0..random.random_range(1..10))
                .map(|_| {
                    let floor = random.random_range(0..amount / 10 + 1);
                    let ceiling = floor + random.random_range(0..amount + 1);
                    claim(floor, ceiling, random.random_range(0..2 * amount + 1))
                })
                .collect();
            let parts = divide(amount, &claims);
            assert!(parts.iter().sum::<u64>() <= amount);
            let unused = amount - parts.iter().sum::<u64>();
            for (part, claim) in parts.iter().zip(&claims) {
                assert!((claim.floor..=claim.ceiling).contains(part), "{claims:?} gave {parts:?}");
                assert!(*part == claim.ceiling || unused <= 10, "{unused} lie idle");
            }
        }
    }
}
