//! Numbers of one width as another, and names as numbers.

/// A width that numbers are made to fit.
pub trait Bounded: Sized {
    /// The greatest it holds.
    const MAX: Self;
}

macro_rules! bounded {
    ($($number:ty)*) => { $(impl Bounded for $number { const MAX: Self = <$number>::MAX; })* };
}
bounded! { u8 u16 u32 u64 u128 usize i32 i64 isize }

/// `number` as a `T`, and the greatest `T` where it does not fit. For what is not negative: sizes, counts, times.
pub fn saturate<T: Bounded>(number: impl TryInto<T>) -> T {
    number.try_into().unwrap_or(T::MAX)
}

/// Lets an enum travel as the number of its variant, counted from 0 as they are listed; what has no variant is refused
/// as an unknown `$what`.
macro_rules! byte_codec {
    ($name:ident, $what:literal, $($variant:ident)+) => {
        impl From<$name> for u8 {
            fn from(value: $name) -> Self {
                value as Self
            }
        }

        impl TryFrom<u8> for $name {
            type Error = String;

            fn try_from(byte: u8) -> Result<Self, Self::Error> {
                [$(Self::$variant),+]
                    .into_iter()
                    .find(|value| u8::from(*value) == byte)
                    .ok_or_else(|| format!(concat!("unknown ", $what, " {}"), byte))
            }
        }
    };
}
pub(crate) use byte_codec;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_the_greatest_that_does() {
        assert_eq!(saturate::<u8>(255_u64), 255);
        assert_eq!(saturate::<u8>(256_u64), 255);
        assert_eq!(saturate::<u64>(u128::MAX), u64::MAX);
        assert_eq!(saturate::<isize>(usize::MAX), isize::MAX);
    }
}
