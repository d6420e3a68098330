//! Enums with text values: labels of metrics.

macro_rules! label {
    ($(#[$of:meta])* $label:ident: $($(#[$doc:meta])* $value:ident $name:literal,)*) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $label { $($(#[$doc])* $value,)* }

        impl $label {
            /// The texts of all values, in their order.
            pub const NAMES: &[&str] = &[$($name),*];
        }
    };
}

pub(crate) use label;
