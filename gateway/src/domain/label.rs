//! Enums whose values have a name, or another text: labels of metrics, words of the ledger and of the API.

macro_rules! label {
    ($(#[$of:meta])* $label:ident: $($(#[$doc:meta])* $value:ident $name:literal,)*) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $label { $($(#[$doc])* $value,)* }

        impl $label {
            /// All values.
            pub const ALL: [Self; Self::NAMES.len()] = [$(Self::$value),*];
            /// The names of all values, in their order.
            pub const NAMES: &[&str] = &[$($name),*];

            /// The value's name.
            pub fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }

            /// The value of this name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.name() == name)
            }
        }
    };
}

pub(crate) use label;
